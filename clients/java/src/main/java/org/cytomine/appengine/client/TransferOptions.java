package org.cytomine.appengine.client;

import java.time.Duration;
import java.util.function.Consumer;

/**
 * How a transfer is made.
 *
 * @param onProgress called after each chunk
 * @param requestId makes an upload one that a later process can go on with: the same UUID, with the
 *     same files, continues where the last one was killed; null for none
 * @param stall how long to try again without any progress
 */
public record TransferOptions(Consumer<Progress> onProgress, String requestId, Duration stall) {
  private static final Duration STALL = Duration.ofMinutes(2);

  /** The usual ones. */
  public static TransferOptions usual() {
    return new TransferOptions(progress -> {}, null, STALL);
  }

  /** The same with somebody who is told of progress. */
  public TransferOptions withProgress(Consumer<Progress> newOnProgress) {
    return new TransferOptions(newOnProgress, requestId, stall);
  }

  /** The same with a request id. */
  public TransferOptions withRequestId(String newRequestId) {
    return new TransferOptions(onProgress, newRequestId, stall);
  }

  Retries.Patience patience() {
    return new Retries.Patience(stall);
  }
}
