package org.cytomine.appengine.client;

/**
 * A position in a transfer. Both numbers are needed: empty files and folders have no bytes.
 *
 * @param bytes of content before this place
 * @param entries that begin before this place
 */
record Place(long bytes, long entries) {
  static final Place START = new Place(0, 0);

  static Place of(org.cytomine.appengine.v1.Place message) {
    return new Place(message.getBytes(), message.getEntries());
  }

  org.cytomine.appengine.v1.Place message() {
    return org.cytomine.appengine.v1.Place.newBuilder().setBytes(bytes).setEntries(entries).build();
  }

  boolean isBehindOrAt(Place other) {
    return bytes <= other.bytes && entries <= other.entries;
  }
}
