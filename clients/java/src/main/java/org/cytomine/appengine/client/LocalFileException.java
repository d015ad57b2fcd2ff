package org.cytomine.appengine.client;

/** A local file cannot be read or written, changed meanwhile, or is of a wrong kind. */
public class LocalFileException extends AppEngineException {
  private static final long serialVersionUID = 1L;

  LocalFileException(String message) {
    super(message);
  }

  LocalFileException(String message, Throwable cause) {
    super(message + ": " + cause, cause);
  }
}
