package org.cytomine.appengine.client;

import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import org.cytomine.appengine.v1.Chunk;
import org.cytomine.appengine.v1.GetUploadRequest;
import org.cytomine.appengine.v1.StorageServiceGrpc;
import org.cytomine.appengine.v1.Upload;
import org.cytomine.appengine.v1.UploadBegin;
import org.cytomine.appengine.v1.UploadFinish;
import org.cytomine.appengine.v1.UploadRequest;

/** One source on its way to one upload. The writer is the same through all resumptions. */
final class Push {
  static final int DEFAULT_CHUNK_BYTES = 2 * Connection.MIB;

  private static final Duration KEEP_ALIVE = Duration.ofSeconds(20);
  private static final Duration STALL = Duration.ofSeconds(60);
  // The server may check for so long what it got: it reads everything once more.
  private static final Duration FINISH = Duration.ofHours(1);
  private static final Duration ASK = Duration.ofSeconds(15);
  // So much may wait in gRPC, so that the next chunk is there before the last one has gone.
  private static final int READY_BYTES = 2 * Connection.MIB;

  private final Connection connection;
  private final Outline outline;
  private final String uploadId;
  private final int chunkBytes;
  private final String writerId = Connection.newId();
  private final Retries.Patience patience;
  private final Consumer<Progress> onProgress;
  private Place persisted = Place.START;

  Push(Connection connection, Outline outline, String uploadId, int chunkBytes, TransferOptions options) {
    this.connection = connection;
    this.outline = outline;
    this.uploadId = uploadId;
    boolean isUsable = chunkBytes > 0 && chunkBytes < DEFAULT_CHUNK_BYTES;
    this.chunkBytes = isUsable ? chunkBytes : DEFAULT_CHUNK_BYTES;
    patience = options.patience();
    onProgress = options.onProgress();
  }

  /** Send everything and finish; with {@code resume} ask first what the server holds. */
  Upload run(boolean resume) {
    boolean asks = resume;
    while (true) {
      try {
        Optional<Upload> finished = asks ? rewind() : Optional.empty();
        return finished.isPresent() ? finished.get() : send();
      } catch (AppEngineException error) {
        if (error.isResumable()) {
          tell(persisted, error);
        }
        patience.await(error);
      }
      connection.reconnectSoon();
      asks = true;
    }
  }

  private Optional<Upload> rewind() {
    var stub = StorageServiceGrpc.newBlockingStub(connection.channel());
    var request = GetUploadRequest.newBuilder().setUploadId(uploadId).build();
    Upload upload = connection.call(stub, ASK, it -> it.getUpload(request)).getUpload();
    switch (upload.getState()) {
      case UPLOAD_STATE_FINISHED:
        return Optional.of(upload);
      case UPLOAD_STATE_OPEN:
        goBackTo(Place.of(upload.getPersisted()));
        return Optional.empty();
      default:
        throw TransferException.broken(
            "the upload %s was refused or cancelled: start a new one", uploadId);
    }
  }

  private void goBackTo(Place held) {
    if (!persisted.isBehindOrAt(held)) {
      throw TransferException.broken(
          "the server says that it holds %d bytes of the upload; it has said %d before",
          held.bytes(), persisted.bytes());
    }
    if (!outline.holds(held)) {
      throw TransferException.broken(
          "the upload at the server (%d entries, %d bytes) does not fit the files here: start a new upload",
          held.entries(), held.bytes());
    }
    if (!held.equals(persisted)) {
      patience.progressed();
    }
    persisted = held;
  }

  /** One stream, from what the server holds to the end. */
  private Upload send() {
    try (var watchdog = connection.watchdog(FINISH)) {
      UploadStream stream = new UploadStream();
      var stub =
          StorageServiceGrpc.newStub(connection.channel()).withOnReadyThreshold(READY_BYTES);
      watchdog.context().run(() -> stub.upload(stream));
      try {
        sendAll(stream);
        return stream.await(FINISH);
      } catch (TimeoutException error) {
        throw connection.silence(STALL);
      } catch (StatusRuntimeException error) {
        throw connection.translated(error);
      }
    }
  }

  private void sendAll(UploadStream stream) throws TimeoutException {
    var begin = UploadBegin.newBuilder().setUploadId(uploadId).setWriterId(writerId);
    boolean isOpen = stream.send(UploadRequest.newBuilder().setBegin(begin).build(), STALL);
    try (ChunkReader reader = new ChunkReader(outline.entries());
        Ahead ahead = new Ahead(reader)) {
      while (isOpen && ahead.hasNext()) {
        Place after = ahead.plan.after();
        Chunk chunk = ahead.next(stream);
        isOpen = stream.send(UploadRequest.newBuilder().setChunk(chunk).build(), STALL);
        tell(after, null);
      }
    }
    if (isOpen) {
      var finish = UploadFinish.newBuilder().setEnd(outline.end().message());
      stream.send(UploadRequest.newBuilder().setFinish(finish).build(), STALL);
      stream.complete();
    }
  }

  private void tell(Place at, AppEngineException because) {
    Place end = outline.end();
    onProgress.accept(new Progress(at.bytes(), end.bytes(), at.entries(), end.entries(), because));
  }

  /** While one chunk is sent, the next one is read. */
  private final class Ahead implements AutoCloseable {
    private final ChunkReader reader;
    private Outline.Plan plan;
    private CompletableFuture<Chunk> upcoming;
    private Place place = persisted;

    Ahead(ChunkReader reader) {
      this.reader = reader;
      begin(true);
    }

    private void begin(boolean endAgain) {
      upcoming = null;
      if (!place.equals(outline.end())) {
        Outline.Plan next = outline.plan(place, chunkBytes, endAgain);
        plan = next;
        upcoming = CompletableFuture.supplyAsync(() -> reader.chunk(next), connection.readers());
      }
    }

    boolean hasNext() {
      return upcoming != null;
    }

    /** The chunk that was read; the stream gets empty ones while the disk is slow. */
    Chunk next(UploadStream stream) throws TimeoutException {
      Chunk chunk = null;
      while (chunk == null) {
        try {
          chunk = upcoming.get(KEEP_ALIVE.toMillis(), TimeUnit.MILLISECONDS);
        } catch (TimeoutException error) {
          Chunk empty = Chunk.newBuilder().setPlace(plan.place().message()).build();
          stream.send(UploadRequest.newBuilder().setChunk(empty).build(), STALL);
        } catch (InterruptedException error) {
          throw AppEngineException.interrupted();
        } catch (ExecutionException error) {
          throw (RuntimeException) error.getCause();
        }
      }
      place = plan.after();
      begin(false);
      return chunk;
    }

    /** The thread must have left the file before it is closed. */
    @Override
    public void close() {
      if (upcoming != null) {
        try {
          upcoming.join();
        } catch (CompletionException error) {
          // What kept the file from being read is not wanted any more.
        }
      }
    }
  }
}
