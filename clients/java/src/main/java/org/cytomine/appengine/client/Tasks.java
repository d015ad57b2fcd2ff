package org.cytomine.appengine.client;

import java.nio.file.Path;
import java.time.Duration;
import org.cytomine.appengine.v1.CreateTaskRequest;
import org.cytomine.appengine.v1.DeleteTaskRequest;
import org.cytomine.appengine.v1.GetTaskRequest;
import org.cytomine.appengine.v1.Task;
import org.cytomine.appengine.v1.TaskName;
import org.cytomine.appengine.v1.TaskServiceGrpc;
import org.cytomine.appengine.v1.TaskServiceGrpc.TaskServiceBlockingStub;
import org.cytomine.appengine.v1.WatchTaskRequest;
import org.cytomine.appengine.v1.WatchTaskResponse;

/** Uploads, finds and deletes tasks. A task is named by {@code NAMESPACE:VERSION} or its id. */
public final class Tasks {
  // CreateTask reads the bundle's table of contents and its descriptor before it answers.
  private static final Duration CHECKING = Duration.ofMinutes(5);

  private final Connection connection;
  private final Uploads uploads;

  Tasks(Connection connection, Uploads uploads) {
    this.connection = connection;
    this.uploads = uploads;
  }

  /**
   * Upload a bundle, make a task of it, and wait until it is published: it is READY, or FAILED with
   * the reason in its failure.
   */
  public Task upload(Path bundle, TransferOptions options) {
    String id = options.requestId();
    // With the same id a later process gets the task that an earlier one made.
    String requestId = id == null ? Connection.newId() : id;
    Task task = create(uploads.sendBundle(bundle, options).getId(), requestId);
    try (var changes = watch(task.getId())) {
      for (WatchTaskResponse change : changes) {
        task = change.getTask();
      }
    }
    return task;
  }

  /** Make a task of an uploaded bundle, and do not wait until it is published. */
  public Task create(String uploadId) {
    return create(uploadId, Connection.newId());
  }

  private Task create(String uploadId, String requestId) {
    var request =
        CreateTaskRequest.newBuilder()
            .setRequestId(requestId)
            .setProject(connection.settings().project())
            .setUploadId(uploadId)
            .build();
    return Refusals.withAllProblems(
        () -> connection.call(stub(), CHECKING, it -> it.createTask(request)).getTask(),
        () -> {
          var trial = request.toBuilder().setRequestId(Connection.newId()).setValidateOnly(true);
          return connection.call(stub(), CHECKING, it -> it.createTask(trial.build())).getProblemsList();
        });
  }

  /** One task. */
  public Task get(String task) {
    var request = GetTaskRequest.newBuilder().setTask(name(task)).build();
    return connection.call(stub(), AppEngineClient.QUICK, it -> it.getTask(request)).getTask();
  }

  /** Delete a task. With {@code force} its runs that have not ended are cancelled first. */
  public void delete(String task, boolean force) {
    var request = DeleteTaskRequest.newBuilder().setTask(name(task)).setForce(force).build();
    connection.call(stub(), AppEngineClient.QUICK, it -> it.deleteTask(request));
  }

  /** The task as it is, then after every change; ends when it is READY, FAILED or gone. */
  public Following<WatchTaskResponse> watch(String task) {
    var request = WatchTaskRequest.newBuilder().setTask(name(task));
    return new Following<>(
        connection,
        () -> stub().watchTask(request.build()),
        answer -> request.setAfterRevision(answer.getTask().getRevision()));
  }

  TaskName name(String task) {
    TaskName.Builder name = TaskName.newBuilder().setProject(connection.settings().project());
    int colon = task.lastIndexOf(':');
    if (colon > 0 && colon < task.length() - 1) {
      name.setNamespace(task.substring(0, colon)).setVersion(task.substring(colon + 1));
    } else {
      name.setId(task);
    }
    return name.build();
  }

  private TaskServiceBlockingStub stub() {
    return TaskServiceGrpc.newBlockingStub(connection.channel());
  }
}
