package org.cytomine.appengine.client;

import io.grpc.Status;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** What came back from a call: the server refused it, or cannot be reached. */
public class ServerException extends AppEngineException {
  private static final long serialVersionUID = 1L;

  /** The reason of what no second try mends: certificates that do not fit, or TLS on one side. */
  public static final String REASON_TLS = "TLS";

  private static final Set<String> RESUMED_REASONS =
      Set.of("CHUNK_CORRUPT", "UPLOAD_PLACE", "UPLOAD_STALLED");

  private final transient Details details;

  /** What a server tells about an error beside its message. */
  record Details(
      Status.Code status,
      String reason,
      List<Problem> problems,
      int problemCount,
      Map<String, String> fields,
      Duration retryAfter,
      String requestId) {
    static Details of(Status.Code status) {
      return new Details(status, "", List.of(), 0, Map.of(), null, "");
    }

    Details withProblems(List<Problem> all) {
      return new Details(status, reason, all, all.size(), fields, retryAfter, requestId);
    }
  }

  ServerException(String message, Details details) {
    super(message);
    this.details = details;
  }

  Details details() {
    return details;
  }

  /** The gRPC status. UNAVAILABLE is also a server that cannot be reached. */
  public Status.Code status() {
    return details.status();
  }

  /** Stable identifier such as RUN_STATE; empty where the server gave none. */
  public String reason() {
    return details.reason();
  }

  /** Every problem that the server named. */
  public List<Problem> problems() {
    return details.problems();
  }

  /** How many problems there are: more than {@link #problems} where not all fitted. */
  public int problemCount() {
    return details.problemCount();
  }

  /** Facts that belong to the reason. */
  public Map<String, String> fields() {
    return details.fields();
  }

  /** When to try again, as the server says. */
  public Optional<Duration> retryAfter() {
    return Optional.ofNullable(details.retryAfter());
  }

  /** The id of the call, to be found in the server's log. */
  public String requestId() {
    return details.requestId();
  }

  boolean isWorthAnotherTry(int failures) {
    return switch (status()) {
      case UNAVAILABLE, DEADLINE_EXCEEDED -> !reason().equals(REASON_TLS);
      case RESOURCE_EXHAUSTED -> retryAfter().isPresent();
      case INTERNAL -> failures == 1;
      default -> false;
    };
  }

  @Override
  boolean isResumable() {
    return switch (status()) {
      case UNAVAILABLE, DEADLINE_EXCEEDED, INTERNAL -> !reason().equals(REASON_TLS);
      case UNKNOWN, CANCELLED -> true; // proxies and cut connections also give these
      case ABORTED, OUT_OF_RANGE -> RESUMED_REASONS.contains(reason());
      case RESOURCE_EXHAUSTED -> retryAfter().isPresent();
      default -> false;
    };
  }

  /** The message, with a line for each problem that it does not say itself. */
  @Override
  public String toString() {
    StringBuilder text = new StringBuilder(status() + ": " + getMessage());
    for (Problem problem : problems()) {
      if (!problem.message().equals(getMessage())) {
        text.append("\n  ").append(problem);
      }
    }
    int left = problemCount() - problems().size();
    return left > 0 ? text + "\n  … and " + left + " more" : text.toString();
  }
}
