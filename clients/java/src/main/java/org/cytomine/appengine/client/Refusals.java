package org.cytomine.appengine.client;

import io.grpc.Status;
import java.util.List;
import java.util.function.Supplier;

/** Completes refusals: an answer holds only as many problems as fit into it. */
final class Refusals {
  private Refusals() {}

  /** When the call is refused with more problems than it names, ask for all of them. */
  static <T> T withAllProblems(
      Supplier<T> call, Supplier<List<org.cytomine.appengine.v1.Problem>> validate) {
    try {
      return call.get();
    } catch (ServerException refusal) {
      boolean isCut = refusal.problemCount() > refusal.problems().size();
      if (refusal.status() != Status.Code.INVALID_ARGUMENT || !isCut) {
        throw refusal;
      }
      throw completed(refusal, validate);
    }
  }

  private static ServerException completed(
      ServerException refusal, Supplier<List<org.cytomine.appengine.v1.Problem>> validate) {
    List<Problem> all;
    try {
      all =
          validate.get().stream()
              .map(one -> new Problem(one.getPath(), one.getReason(), one.getMessage()))
              .toList();
    } catch (ServerException error) {
      return refusal; // the first answer is what the user must see
    }
    boolean isMore = all.size() >= refusal.problems().size();
    return isMore ? new ServerException(refusal.getMessage(), refusal.details().withProblems(all)) : refusal;
  }
}
