package org.cytomine.appengine.client;

import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.cytomine.appengine.v1.Upload;
import org.cytomine.appengine.v1.UploadRequest;
import org.cytomine.appengine.v1.UploadResponse;

/** One stream of an upload, with calls that block: gRPC's own would queue without limit. */
final class UploadStream implements ClientResponseObserver<UploadRequest, UploadResponse> {
  private final CompletableFuture<Upload> answer = new CompletableFuture<>();
  private ClientCallStreamObserver<UploadRequest> requests;

  @Override
  public void beforeStart(ClientCallStreamObserver<UploadRequest> stream) {
    requests = stream;
    stream.setOnReadyHandler(this::wake);
  }

  @Override
  public void onNext(UploadResponse response) {
    answer.complete(response.getUpload());
  }

  @Override
  public void onError(Throwable error) {
    answer.completeExceptionally(error);
    wake();
  }

  @Override
  public void onCompleted() {
    wake();
  }

  private synchronized void wake() {
    notifyAll();
  }

  /** Send a message once there is room for it. False when the server has answered already. */
  boolean send(UploadRequest message, Duration limit) throws TimeoutException {
    long deadline = System.nanoTime() + limit.toNanos();
    synchronized (this) {
      while (!requests.isReady() && !answer.isDone()) {
        long left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
        if (left <= 0) {
          throw new TimeoutException();
        }
        try {
          wait(left);
        } catch (InterruptedException error) {
          throw AppEngineException.interrupted();
        }
      }
    }
    if (answer.isDone()) {
      return false;
    }
    requests.onNext(message);
    return true;
  }

  void complete() {
    if (!answer.isDone()) {
      requests.onCompleted();
    }
  }

  Upload await(Duration limit) throws TimeoutException {
    try {
      return answer.get(limit.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException error) {
      throw AppEngineException.interrupted();
    } catch (ExecutionException error) {
      if (error.getCause() instanceof StatusRuntimeException refusal) {
        throw refusal;
      }
      throw new AppEngineException("the upload failed", error.getCause());
    }
  }
}
