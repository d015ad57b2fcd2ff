package org.cytomine.appengine.client;

import java.nio.file.Path;
import java.util.List;
import org.cytomine.appengine.v1.CancelUploadRequest;
import org.cytomine.appengine.v1.InputPart;
import org.cytomine.appengine.v1.InputTarget;
import org.cytomine.appengine.v1.StartUploadRequest;
import org.cytomine.appengine.v1.StorageServiceGrpc;
import org.cytomine.appengine.v1.TaskBundleTarget;
import org.cytomine.appengine.v1.Upload;

/** Bytes on their way to the server. */
final class Uploads {
  private final Connection connection;

  Uploads(Connection connection) {
    this.connection = connection;
  }

  Upload sendBundle(Path bundle, TransferOptions options) {
    var target = TaskBundleTarget.newBuilder().setProject(connection.settings().project());
    var request = StartUploadRequest.newBuilder().setTaskBundle(target);
    return send(request, SourceEntry.listed("bundle.zip", bundle), options);
  }

  /** Send an input of a run, which provisions it. */
  Upload sendInput(
      String runId, String parameter, InputPart part, List<SourceEntry> entries, TransferOptions options) {
    var target = InputTarget.newBuilder().setRunId(runId).setParameter(parameter).setPart(part);
    return send(StartUploadRequest.newBuilder().setInput(target), entries, options);
  }

  private Upload send(
      StartUploadRequest.Builder builder, List<SourceEntry> entries, TransferOptions options) {
    Outline outline = new Outline(entries);
    boolean goesOn = options.requestId() != null;
    var request =
        builder
            .setRequestId(goesOn ? options.requestId() : Connection.newId())
            .setExpectedBytes(outline.end().bytes())
            .build();
    var stub = StorageServiceGrpc.newBlockingStub(connection.channel());
    var started = connection.call(stub, AppEngineClient.QUICK, it -> it.startUpload(request));
    Push push =
        new Push(connection, outline, started.getUploadId(), started.getChunkBytes(), options);
    try {
      return push.run(goesOn);
    } catch (LocalFileException error) {
      drop(started.getUploadId());
      throw error;
    }
  }

  /** Free the server's disk. What fails here expires by itself. */
  private void drop(String uploadId) {
    var request = CancelUploadRequest.newBuilder().setUploadId(uploadId).build();
    var stub = StorageServiceGrpc.newBlockingStub(connection.channel());
    try {
      connection.call(stub, AppEngineClient.QUICK, it -> it.cancelUpload(request));
    } catch (ServerException error) {
      // The first error is what the user must see.
    }
  }
}
