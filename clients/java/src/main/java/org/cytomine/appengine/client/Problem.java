package org.cytomine.appengine.client;

/**
 * One thing that is wrong with a request, a value or a descriptor.
 *
 * @param path where, such as {@code inputs.threshold} or {@code probs[17]}; empty for the whole
 * @param reason stable identifier such as NOT_INTEGER; may be empty
 * @param message a sentence for people
 */
public record Problem(String path, String reason, String message) {
  @Override
  public String toString() {
    return path.isEmpty() ? message : path + ": " + message;
  }
}
