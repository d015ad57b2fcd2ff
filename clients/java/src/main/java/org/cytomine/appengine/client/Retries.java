package org.cytomine.appengine.client;

import java.time.Duration;
import java.util.concurrent.ThreadLocalRandom;

/** When to try again: the only class that decides it. */
final class Retries {
  private static final long FIRST_MILLIS = 100;
  private static final long LONGEST_MILLIS = 5_000;

  private Retries() {}

  /** Grows with full jitter, so that many clients do not come back at once; the server's word wins. */
  static Duration pauseAfter(int failures, AppEngineException error) {
    if (error instanceof ServerException refusal && refusal.retryAfter().isPresent()) {
      return refusal.retryAfter().get();
    }
    long longest = Math.min(FIRST_MILLIS << Math.min(failures - 1, 16), LONGEST_MILLIS);
    return Duration.ofMillis(ThreadLocalRandom.current().nextLong(longest + 1));
  }

  static void sleep(Duration pause) {
    try {
      Thread.sleep(pause.toMillis());
    } catch (InterruptedException error) {
      throw AppEngineException.interrupted();
    }
  }

  /** How long a stream is tried again: without limit while it makes progress. */
  static final class Patience {
    private final Duration stall;
    private int failures;
    private long stalledSince;

    Patience(Duration stall) {
      this.stall = stall;
    }

    void progressed() {
      failures = 0;
    }

    /** Pause before the next try, or throw the error when it cannot or should not go on. */
    void await(AppEngineException error) {
      if (!error.isResumable()) {
        throw error;
      }
      if (failures++ == 0) {
        stalledSince = System.nanoTime();
      }
      Duration pause = pauseAfter(failures, error);
      Duration stalled = Duration.ofNanos(System.nanoTime() - stalledSince);
      if (stalled.plus(pause).compareTo(stall) > 0) {
        throw error;
      }
      sleep(pause);
    }
  }
}
