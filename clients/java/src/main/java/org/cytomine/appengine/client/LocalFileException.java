package org.cytomine.appengine.client;

import java.nio.file.AccessDeniedException;
import java.nio.file.NoSuchFileException;

/** A local file cannot be read or written, changed meanwhile, or is of a wrong kind. */
public class LocalFileException extends AppEngineException {
  private static final long serialVersionUID = 1L;

  LocalFileException(String message) {
    super(message);
  }

  LocalFileException(String message, Throwable cause) {
    super(message + ": " + why(cause), cause);
  }

  /** The messages of some exceptions are nothing but a path. */
  private static String why(Throwable cause) {
    if (cause instanceof NoSuchFileException) {
      return "there is no such file or folder";
    }
    if (cause instanceof AccessDeniedException) {
      return "this user may not";
    }
    return cause.toString();
  }
}
