package org.cytomine.appengine.client;

import java.util.Map;

/**
 * More about a new run.
 *
 * @param labels for finding the run again
 * @param isStarted puts the run into the queue
 * @param requestId a UUID of the caller's: the same call with the same one makes no second run, but
 *     goes on with the first, wherever it was interrupted; null for a new one
 * @param transfer how files are sent
 */
public record RunOptions(
    Map<String, String> labels, boolean isStarted, String requestId, TransferOptions transfer) {
  /** A run that is not started. */
  public static RunOptions none() {
    return new RunOptions(Map.of(), false, null, TransferOptions.usual());
  }

  /** A run that is started. */
  public static RunOptions start() {
    return new RunOptions(Map.of(), true, null, TransferOptions.usual());
  }

  /** The same with labels. */
  public RunOptions withLabels(Map<String, String> newLabels) {
    return new RunOptions(Map.copyOf(newLabels), isStarted, requestId, transfer);
  }

  /** The same with a request id. */
  public RunOptions withRequestId(String newRequestId) {
    return new RunOptions(labels, isStarted, newRequestId, transfer);
  }
}
