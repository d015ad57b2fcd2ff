package org.cytomine.appengine.client;

import java.util.List;

/**
 * What a download brought.
 *
 * @param names the entries that are new in the folder, sorted
 */
public record Fetched(List<String> names, long bytes, int files) {}
