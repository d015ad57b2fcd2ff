package org.cytomine.appengine.client;

import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
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
    Path parts = null;
    try {
      Files.createDirectories(target);
      // In the folder itself: it may be a mount, and only there a rename is atomic.
      parts = Files.createTempDirectory(target, ".appengine-incoming-");
      for (int restart = 0; ; restart++) {
        Path folder = Files.createDirectory(parts.resolve("new-" + restart));
        try (TreeWriter writer = new TreeWriter(folder)) {
          receive(writer);
          return moveInto(target, writer, Files.createDirectory(parts.resolve("old")));
        } catch (ServerException error) {
          if (!error.reason().equals("ETAG") || restart == MAX_RESTARTS) {
            throw error;
          }
        }
      }
    } catch (IOException error) {
      throw new LocalFileException("the folder " + target + " cannot be written", error);
    } finally {
      remove(parts);
    }
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

  private static void remove(Path folder) {
    if (folder == null) {
      return;
    }
    try (Stream<Path> all = Files.walk(folder)) {
      for (Path one : all.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(one);
      }
    } catch (IOException error) {
      throw new LocalFileException("the folder " + folder + " cannot be removed", error);
    }
  }
}
