package org.cytomine.appengine.client;

import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.stream.Stream;
import org.cytomine.appengine.v1.DownloadRequest;
import org.cytomine.appengine.v1.DownloadResponse;
import org.cytomine.appengine.v1.Resource;
import org.cytomine.appengine.v1.StorageServiceGrpc;

/** One resource on its way into one folder. */
final class Pull {
  // How often a download begins anew because the content has changed meanwhile.
  private static final int MAX_RESTARTS = 3;
  private static final Duration STALL = Duration.ofSeconds(60);

  private final Connection connection;
  private final Resource resource;
  private final TransferOptions options;

  Pull(Connection connection, Resource resource, TransferOptions options) {
    this.connection = connection;
    this.resource = resource;
    this.options = options;
  }

  /** Fetch everything beside its final place, check it, and move it there. */
  Fetched into(Path target) {
    try (Parts parts = Parts.take(target, resource)) {
      for (int restart = 0; ; restart++) {
        try (TreeWriter writer = open(parts)) {
          receive(writer);
          return moveInto(target, writer, parts.old());
        } catch (ServerException error) {
          if (!error.reason().equals("ETAG") || restart == MAX_RESTARTS) {
            keepAfter(error, parts);
            throw error;
          }
          parts.clear();
        } catch (AppEngineException error) {
          keepAfter(error, parts);
          throw error;
        }
      }
    } catch (IOException error) {
      throw new LocalFileException("the folder " + target + " cannot be written", error);
    }
  }

  private static void keepAfter(AppEngineException error, Parts parts) {
    if (error.isResumable()) {
      parts.keep();
    }
  }

  /** A writer into the parts: where a killed process was, or at the beginning. */
  private static TreeWriter open(Parts parts) throws IOException {
    if (!parts.canBeKept()) {
      parts.clear();
      return new TreeWriter(parts.fresh());
    }
    TreeWriter writer = new TreeWriter(parts.fresh());
    try {
      writer.keep(Notes.open(parts.notes(), writer));
      if (!writer.etag().isEmpty()) {
        writer.dropTheRest();
        return writer;
      }
    } catch (IOException | AppEngineException error) {
      // What lies there is not what was noted: begin anew.
    }
    writer.close();
    parts.clear();
    TreeWriter anew = new TreeWriter(parts.fresh());
    anew.keep(Notes.open(parts.notes(), anew));
    return anew;
  }

  private void receive(TreeWriter writer) {
    Retries.Patience patience = options.patience();
    while (true) {
      Place before = writer.place();
      AppEngineException failure;
      try {
        receiveStream(writer);
        if (writer.isComplete()) {
          writer.finish();
          return;
        }
        failure = TransferException.cut("the download ended before its end");
      } catch (StatusRuntimeException error) {
        failure = connection.translated(error);
      } catch (AppEngineException error) {
        failure = error;
      }
      if (!writer.place().equals(before)) {
        patience.progressed();
      }
      if (failure.isResumable()) {
        tell(writer, failure);
      }
      patience.await(failure);
      connection.reconnectSoon();
    }
  }

  private void receiveStream(TreeWriter writer) {
    var request =
        DownloadRequest.newBuilder()
            .setResource(resource)
            .setFrom(writer.place().message())
            .setEtag(writer.etag())
            .build();
    try (var watchdog = connection.watchdog(STALL)) {
      var stub = StorageServiceGrpc.newBlockingStub(connection.channel());
      Iterator<DownloadResponse> messages =
          watchdog.context().call(() -> stub.download(request));
      while (messages.hasNext()) {
        writer.apply(messages.next());
        watchdog.moved(STALL);
        tell(writer, null);
      }
    } catch (RuntimeException error) {
      throw error;
    } catch (Exception error) {
      throw new AppEngineException("the download failed", error); // `call` declares any
    }
  }

  private void tell(TreeWriter writer, AppEngineException because) {
    Place at = writer.place();
    Place end = writer.end();
    options
        .onProgress()
        .accept(new Progress(at.bytes(), end.bytes(), at.entries(), end.entries(), because));
  }

  /** What is replaced goes with the parts. */
  private static Fetched moveInto(Path target, TreeWriter writer, Path old) throws IOException {
    List<String> names = new ArrayList<>();
    for (Path one : listed(writer.folder())) {
      String name = one.getFileName().toString();
      Path place = target.resolve(name);
      if (Files.exists(place, LinkOption.NOFOLLOW_LINKS)) {
        Files.move(place, old.resolve(name));
      }
      Files.move(one, place);
      names.add(name);
    }
    return new Fetched(names, writer.place().bytes(), writer.files());
  }

  private static List<Path> listed(Path folder) throws IOException {
    try (Stream<Path> inside = Files.list(folder)) {
      return inside.sorted().toList();
    }
  }
}
