package org.cytomine.appengine.client;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.PreconditionFailure;
import com.google.rpc.RetryInfo;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Turns what gRPC throws into the errors of this library. */
final class Statuses {
  static final Metadata.Key<String> REQUEST_ID =
      Metadata.Key.of("x-request-id", Metadata.ASCII_STRING_MARSHALLER);

  private static final String MORE = "more_problems";

  private Statuses() {}

  /** The error for one of gRPC, with all that the server said. */
  static ServerException translated(StatusRuntimeException error, String target) {
    com.google.rpc.Status said = StatusProto.fromThrowable(error);
    boolean hasDetails = said != null && said.getDetailsCount() > 0;
    if (!hasDetails) {
      return unexplained(error, target);
    }
    ServerException.Details details = ServerException.Details.of(error.getStatus().getCode());
    Collected collected = new Collected();
    said.getDetailsList().forEach(collected::add);
    return new ServerException(said.getMessage(), collected.complete(details, idOf(error)));
  }

  private static String idOf(StatusRuntimeException error) {
    Metadata trailers = error.getTrailers();
    String id = trailers == null ? null : trailers.get(REQUEST_ID);
    return id == null ? "" : id;
  }

  /** Where gRPC speaks and not the server, say what to do. */
  private static ServerException unexplained(StatusRuntimeException error, String target) {
    Status status = error.getStatus();
    ServerException.Details details = ServerException.Details.of(status.getCode());
    String text = status.getDescription() == null ? "" : status.getDescription();
    String cause = rootOf(error);
    if (status.getCode() == Status.Code.UNAVAILABLE && isTlsMistake(error)) {
      ServerException.Details tls =
          new ServerException.Details(
              status.getCode(), ServerException.REASON_TLS, List.of(), 0, Map.of(), null, "");
      return new ServerException(
          String.format(
              "the server %s and this client do not agree on TLS (%s): use https://%1$s where it "
                  + "speaks TLS, the certificate of the authority that signed its own, and the "
                  + "name that it is for",
              target, cause),
          tls);
    }
    String message =
        switch (status.getCode()) {
          case UNAVAILABLE ->
              String.format(
                  "the server %s cannot be reached: %s. See whether it runs, and whether this is "
                      + "its address",
                  target, cause.isEmpty() ? text : cause);
          case DEADLINE_EXCEEDED -> "the server " + target + " did not answer in time";
          case UNIMPLEMENTED -> "the server " + target + " does not offer this: " + text;
          default -> text.isEmpty() ? status.getCode() + " " + cause : text;
        };
    return new ServerException(message, details);
  }

  private static String rootOf(Throwable error) {
    Throwable root = error;
    while (root.getCause() != null && root.getCause() != root) {
      root = root.getCause();
    }
    return root == error || root.getMessage() == null ? "" : root.getMessage();
  }

  private static boolean isTlsMistake(Throwable error) {
    for (Throwable one = error; one != null; one = one.getCause()) {
      String name = one.getClass().getName();
      if (name.contains("SSL") || name.contains("NotSsl") || name.contains("Certificate")) {
        return true;
      }
    }
    return false;
  }

  /** What the details of one error hold. */
  private static final class Collected {
    private final List<Problem> problems = new ArrayList<>();
    private final Map<String, String> fields = new HashMap<>();
    private String reason = "";
    private Duration retryAfter;

    void add(Any packed) {
      try {
        if (packed.is(ErrorInfo.class)) {
          ErrorInfo info = packed.unpack(ErrorInfo.class);
          reason = info.getReason();
          fields.putAll(info.getMetadataMap());
        } else if (packed.is(BadRequest.class)) {
          packed
              .unpack(BadRequest.class)
              .getFieldViolationsList()
              .forEach(v -> problems.add(new Problem(v.getField(), v.getReason(), v.getDescription())));
        } else if (packed.is(PreconditionFailure.class)) {
          packed
              .unpack(PreconditionFailure.class)
              .getViolationsList()
              .forEach(v -> problems.add(new Problem(v.getSubject(), v.getType(), v.getDescription())));
        } else if (packed.is(RetryInfo.class)) {
          var delay = packed.unpack(RetryInfo.class).getRetryDelay();
          retryAfter = Duration.ofSeconds(delay.getSeconds(), delay.getNanos());
        }
      } catch (InvalidProtocolBufferException error) {
        // A proxy may cut trailers: then there is less to tell.
      }
    }

    ServerException.Details complete(ServerException.Details details, String requestId) {
      String more = fields.remove(MORE);
      int count = problems.size() + (more == null ? 0 : Integer.parseInt(more));
      return new ServerException.Details(
          details.status(), reason, List.copyOf(problems), count, Map.copyOf(fields), retryAfter, requestId);
    }
  }
}
