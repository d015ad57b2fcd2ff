package org.cytomine.appengine.client;

/** The other side sent what a transfer must not hold, or broke a promise of the protocol. */
public class TransferException extends AppEngineException {
  private static final long serialVersionUID = 1L;

  private final boolean isCut;

  private TransferException(String message, boolean isCut) {
    super(message);
    this.isCut = isCut;
  }

  static TransferException broken(String message, Object... arguments) {
    return new TransferException(String.format(message, arguments), false);
  }

  /** It arrived damaged or cut: going on from the same place mends it. */
  static TransferException cut(String message) {
    return new TransferException(message, true);
  }

  @Override
  boolean isResumable() {
    return isCut;
  }
}
