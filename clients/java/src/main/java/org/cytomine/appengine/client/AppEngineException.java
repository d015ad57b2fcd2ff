package org.cytomine.appengine.client;

/** Root of all errors of this library; the message of each is a sentence for people. */
public class AppEngineException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  AppEngineException(String message) {
    super(message);
  }

  AppEngineException(String message, Throwable cause) {
    super(message, cause);
  }

  /** Whether a stream that ended so can go on from the place that was reached. */
  boolean isResumable() {
    return false;
  }

  static AppEngineException interrupted() {
    Thread.currentThread().interrupt();
    return new AppEngineException("the thread was interrupted");
  }
}
