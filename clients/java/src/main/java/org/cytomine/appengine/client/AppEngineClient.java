package org.cytomine.appengine.client;

import java.time.Duration;
import java.util.function.Function;
import org.cytomine.appengine.v1.GetCapabilitiesRequest;
import org.cytomine.appengine.v1.GetCapabilitiesResponse;
import org.cytomine.appengine.v1.RunServiceGrpc;
import org.cytomine.appengine.v1.StorageServiceGrpc;
import org.cytomine.appengine.v1.StorageServiceGrpc.StorageServiceBlockingStub;
import org.cytomine.appengine.v1.TaskServiceGrpc;

/**
 * Talks to one server of App Engine, which runs containerised image-analysis tasks. Its calls block,
 * and several threads may use it at once.
 *
 * <pre>{@code
 * try (var client = AppEngineClient.connect(ConnectOptions.to("engine.example.org:8080"))) {
 *   var run = client.runs().create("com.example.nuclei:1.0.0",
 *       Map.of("image", Input.file(Path.of("a.png")), "min_area", Input.of(20)), RunOptions.start());
 *   run = client.runs().await(run.getId());
 *   client.runs().downloadOutputs(run.getId(), Path.of("results"), TransferOptions.usual());
 * }
 * }</pre>
 *
 * <p>Calls are tried again where that helps, transfers and watches go on where a cut connection
 * stopped, and what a server refuses is a {@link ServerException}. Answers are the API's own messages.
 */
public final class AppEngineClient implements AutoCloseable {
  static final Duration QUICK = Duration.ofSeconds(15);

  private final Connection connection;
  private final Tasks tasks;
  private final Runs runs;
  private GetCapabilitiesResponse capabilities;

  private AppEngineClient(Connection connection) {
    this.connection = connection;
    Uploads uploads = new Uploads(connection);
    tasks = new Tasks(connection, uploads);
    runs = new Runs(connection, uploads, this::capabilities);
  }

  /** A client of one server. Nothing is sent before the first call. */
  public static AppEngineClient connect(ConnectOptions options) {
    return new AppEngineClient(new Connection(options.complete()));
  }

  /** Packaged algorithms. */
  public Tasks tasks() {
    return tasks;
  }

  /** Uses of a task. */
  public Runs runs() {
    return runs;
  }

  /** The limits of the server, which is asked once. */
  public synchronized GetCapabilitiesResponse capabilities() {
    if (capabilities == null) {
      var request = GetCapabilitiesRequest.getDefaultInstance();
      capabilities = callStorage(stub -> stub.getCapabilities(request));
    }
    return capabilities;
  }

  /**
   * A call of TaskService that has no method of its own here, with retries: it must be one that may be
   * repeated, or have a request id.
   */
  public <T> T callTasks(Function<TaskServiceGrpc.TaskServiceBlockingStub, T> call) {
    return connection.call(TaskServiceGrpc.newBlockingStub(connection.channel()), QUICK, call);
  }

  /** The same of RunService. */
  public <T> T callRuns(Function<RunServiceGrpc.RunServiceBlockingStub, T> call) {
    return connection.call(RunServiceGrpc.newBlockingStub(connection.channel()), QUICK, call);
  }

  /** The same of StorageService. */
  public <T> T callStorage(Function<StorageServiceBlockingStub, T> call) {
    return connection.call(StorageServiceGrpc.newBlockingStub(connection.channel()), QUICK, call);
  }

  /** End the connection; what is under way is cancelled. */
  @Override
  public void close() {
    connection.close();
  }
}
