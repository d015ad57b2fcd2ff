package org.cytomine.appengine.client;

/**
 * How far a transfer is.
 *
 * @param waitingBecause why nothing moves at the moment; null while it does
 */
public record Progress(
    long doneBytes, long totalBytes, long doneFiles, long totalFiles, AppEngineException waitingBecause) {}
