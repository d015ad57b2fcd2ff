package org.cytomine.appengine.client;

import com.google.protobuf.ByteString;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.cytomine.appengine.v1.CancelRunRequest;
import org.cytomine.appengine.v1.CreateRunRequest;
import org.cytomine.appengine.v1.DeleteRunRequest;
import org.cytomine.appengine.v1.GetCapabilitiesResponse;
import org.cytomine.appengine.v1.GetRunInputsRequest;
import org.cytomine.appengine.v1.GetRunOutputsRequest;
import org.cytomine.appengine.v1.GetRunRequest;
import org.cytomine.appengine.v1.InputValue;
import org.cytomine.appengine.v1.ParameterValue;
import org.cytomine.appengine.v1.ProvisionInputsRequest;
import org.cytomine.appengine.v1.Resource;
import org.cytomine.appengine.v1.Run;
import org.cytomine.appengine.v1.RunFilter;
import org.cytomine.appengine.v1.RunServiceGrpc;
import org.cytomine.appengine.v1.RunServiceGrpc.RunServiceBlockingStub;
import org.cytomine.appengine.v1.RunState;
import org.cytomine.appengine.v1.StartRunRequest;
import org.cytomine.appengine.v1.TailLogsRequest;
import org.cytomine.appengine.v1.TailLogsResponse;
import org.cytomine.appengine.v1.Upload;
import org.cytomine.appengine.v1.WatchRunRequest;
import org.cytomine.appengine.v1.WatchRunResponse;
import org.cytomine.appengine.v1.WatchRunsRequest;
import org.cytomine.appengine.v1.WatchRunsResponse;

/** Creates runs, gives them inputs, starts and follows them, and fetches what they made. */
public final class Runs {
  // Calls that store values or remove files.
  private static final Duration CHANGING = Duration.ofMinutes(1);
  // Items of arrays in one answer: the most that a server gives.
  private static final int MOST_ITEMS = 10_000;

  private final Connection connection;
  private final Uploads uploads;
  private final Supplier<GetCapabilitiesResponse> capabilities;

  Runs(Connection connection, Uploads uploads, Supplier<GetCapabilitiesResponse> capabilities) {
    this.connection = connection;
    this.uploads = uploads;
    this.capabilities = capabilities;
  }

  /**
   * Make a run of a task ({@code NAMESPACE:VERSION}, or its id), give it inputs, and start it if that
   * is asked for. One call is made where values are small; files and large values are uploaded.
   */
  public Run create(String task, Map<String, Input> inputs, RunOptions options) {
    InputPlan plan = plan(inputs);
    String project = connection.settings().project();
    String id = options.requestId();
    var request =
        CreateRunRequest.newBuilder()
            .setRequestId(id == null ? Connection.newId() : id)
            .setProject(project)
            .setTask(new Tasks(connection, uploads).name(task))
            .putAllLabels(options.labels());
    if (plan.fitsOneRequest()) {
      plan.requests().forEach(request::addAllInputs);
      return create(request.setStart(options.isStarted()).build());
    }
    Run run = create(request.build());
    if (!takesInputs(run)) { // an earlier call with this request id started it
      return run;
    }
    run = carryOut(run, plan, options.transfer());
    return options.isStarted() ? start(run.getId()) : run;
  }

  /**
   * Give inputs to a run that is not started. Values of one request are stored all or not at all;
   * files follow one by one.
   */
  public Run provision(String runId, Map<String, Input> inputs, TransferOptions options) {
    return carryOut(get(runId), plan(inputs), options);
  }

  /** Put the run into the queue. Starting it twice changes nothing. */
  public Run start(String runId) {
    var request = StartRunRequest.newBuilder().setRunId(runId).build();
    return connection.call(stub(), CHANGING, it -> it.startRun(request)).getRun();
  }

  /** Ask the run to stop, and do not wait until it has. */
  public Run cancel(String runId) {
    var request = CancelRunRequest.newBuilder().setRunId(runId).build();
    return connection.call(stub(), AppEngineClient.QUICK, it -> it.cancelRun(request)).getRun();
  }

  /** Remove a run that has ended, or was not started, with its files and logs. */
  public void delete(String runId) {
    var request = DeleteRunRequest.newBuilder().setRunId(runId).build();
    connection.call(stub(), CHANGING, it -> it.deleteRun(request));
  }

  /** One run. */
  public Run get(String runId) {
    var request = GetRunRequest.newBuilder().setRunId(runId).build();
    return connection.call(stub(), AppEngineClient.QUICK, it -> it.getRun(request)).getRun();
  }

  /**
   * Every change of a run after a revision (0 for all), none left out or twice; ends after its end.
   * The run itself comes with the newest change.
   */
  public Following<WatchRunResponse> watch(String runId, long afterRevision) {
    var request = WatchRunRequest.newBuilder().setRunId(runId).setAfterRevision(afterRevision);
    return new Following<>(
        connection,
        () -> stub().watchRun(request.build()),
        answer -> request.setAfterRevision(answer.getEvent().getRevision()));
  }

  /**
   * The changes of all runs that match, from now on, until it is closed. Where nothing happened for a
   * while comes an answer without an event.
   */
  public Following<WatchRunsResponse> watchAll(RunFilter filter) {
    var request = WatchRunsRequest.newBuilder().setFilter(filter);
    return new Following<>(
        connection,
        () -> stub().watchRuns(request.build()),
        answer -> request.setResumeToken(answer.getResumeToken()));
  }

  /** The run once it has SUCCEEDED, FAILED or was CANCELLED. */
  public Run await(String runId) {
    try (var changes = watch(runId, 0)) {
      changes.forEach(change -> {});
    }
    return get(runId);
  }

  /** What the task printed, from a byte on; with {@code follow} until the attempt has ended. */
  public Following<TailLogsResponse> logs(String runId, long cursor, boolean follow) {
    var request = TailLogsRequest.newBuilder().setRunId(runId).setCursor(cursor).setFollow(follow);
    return new Following<>(
        connection,
        () -> stub().tailLogs(request.build()),
        piece -> request.setCursor(piece.getNextCursor()).setAttempt(piece.getAttempt()));
  }

  /** Everything that the task printed, once its attempt has ended. */
  public ByteString log(String runId) {
    ByteString text = ByteString.EMPTY;
    try (var pieces = logs(runId, 0, true)) {
      for (TailLogsResponse piece : pieces) {
        text = text.concat(piece.getData());
      }
    }
    return text;
  }

  /** The inputs with their values, in the order of the descriptor. */
  public List<ParameterValue> inputs(String runId) {
    var request = GetRunInputsRequest.newBuilder().setRunId(runId).setPageSize(MOST_ITEMS);
    Pages pages = new Pages();
    do {
      var page = connection.call(stub(), AppEngineClient.QUICK, it -> it.getRunInputs(request.build()));
      page.getInputsList().forEach(pages::add);
      request.setPageToken(page.getNextPageToken());
    } while (!request.getPageToken().isEmpty());
    return pages.whole();
  }

  /** The outputs of a run that SUCCEEDED, in the order of the descriptor. */
  public List<ParameterValue> outputs(String runId) {
    var request = GetRunOutputsRequest.newBuilder().setRunId(runId).setPageSize(MOST_ITEMS);
    Pages pages = new Pages();
    do {
      var page = connection.call(stub(), AppEngineClient.QUICK, it -> it.getRunOutputs(request.build()));
      page.getOutputsList().forEach(pages::add);
      request.setPageToken(page.getNextPageToken());
    } while (!request.getPageToken().isEmpty());
    return pages.whole();
  }

  /** Fetch the outputs of a run that SUCCEEDED, each under its own name. */
  public Fetched downloadOutputs(String runId, Path folder, TransferOptions options) {
    return download(Resource.newBuilder().setRunOutputs(runId).build(), folder, options);
  }

  /** Fetch the inputs of a run. */
  public Fetched downloadInputs(String runId, Path folder, TransferOptions options) {
    return download(Resource.newBuilder().setRunInputs(runId).build(), folder, options);
  }

  /**
   * Fetch a resource into a folder, which is made when it is missing. What has the same name there is
   * replaced. Nothing is there before all has arrived and every checksum was tested.
   */
  public Fetched download(Resource resource, Path folder, TransferOptions options) {
    return new Pull(connection, resource, options).into(folder);
  }

  private RunServiceBlockingStub stub() {
    return RunServiceGrpc.newBlockingStub(connection.channel());
  }

  private static boolean takesInputs(Run run) {
    return run.getState() == RunState.RUN_STATE_CREATED
        || run.getState() == RunState.RUN_STATE_PROVISIONED;
  }

  private InputPlan plan(Map<String, Input> inputs) {
    long limit = inputs.isEmpty() ? 0 : capabilities.get().getMaxInlineValueBytes();
    return InputPlan.of(inputs, limit);
  }

  private Run carryOut(Run run, InputPlan plan, TransferOptions options) {
    Run newest = run;
    for (List<InputValue> values : plan.requests()) {
      newest = provision(run.getId(), values);
    }
    for (InputPlan.PlannedUpload one : plan.uploads()) {
      Upload upload =
          uploads.sendInput(run.getId(), one.parameter(), one.part(), one.entries(), options);
      newest = upload.hasRun() ? upload.getRun() : newest;
    }
    return newest;
  }

  private Run create(CreateRunRequest request) {
    return Refusals.withAllProblems(
        () -> connection.call(stub(), CHANGING, it -> it.createRun(request)).getRun(),
        () -> {
          var trial = request.toBuilder().setRequestId(Connection.newId()).setValidateOnly(true).build();
          return connection.call(stub(), CHANGING, it -> it.createRun(trial)).getProblemsList();
        });
  }

  private Run provision(String runId, List<InputValue> values) {
    var request = ProvisionInputsRequest.newBuilder().setRunId(runId).addAllInputs(values).build();
    return Refusals.withAllProblems(
        () -> connection.call(stub(), CHANGING, it -> it.provisionInputs(request)).getRun(),
        () -> {
          var trial = request.toBuilder().setValidateOnly(true).build();
          return connection.call(stub(), CHANGING, it -> it.provisionInputs(trial)).getProblemsList();
        });
  }

  /** Puts together parameters whose arrays come on several pages. */
  private static final class Pages {
    private final Map<String, ParameterValue.Builder> parameters = new LinkedHashMap<>();

    void add(ParameterValue part) {
      ParameterValue.Builder known = parameters.putIfAbsent(part.getParameter(), part.toBuilder());
      if (known != null) {
        var items = part.getValue().getArray().getItemsList();
        known.getValueBuilder().getArrayBuilder().addAllItems(items);
      }
    }

    List<ParameterValue> whole() {
      List<ParameterValue> all = new ArrayList<>();
      parameters.values().forEach(one -> all.add(one.build()));
      return all;
    }
  }
}
