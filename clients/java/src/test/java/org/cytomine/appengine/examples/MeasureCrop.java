package org.cytomine.appengine.examples;

import com.google.protobuf.ByteString;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.function.Consumer;
import org.cytomine.appengine.client.AppEngineClient;
import org.cytomine.appengine.client.AppEngineException;
import org.cytomine.appengine.client.ConnectOptions;
import org.cytomine.appengine.client.Input;
import org.cytomine.appengine.client.Progress;
import org.cytomine.appengine.client.RunOptions;
import org.cytomine.appengine.client.ServerException;
import org.cytomine.appengine.client.TransferOptions;
import org.cytomine.appengine.v1.ParameterValue;
import org.cytomine.appengine.v1.Run;
import org.cytomine.appengine.v1.RunState;
import org.cytomine.appengine.v1.Task;
import org.cytomine.appengine.v1.TaskState;
import org.cytomine.appengine.v1.WatchRunResponse;

/**
 * Does what Cytomine does with an annotated crop of a slide: sends the bundle of a task, the crop with
 * the GeoJSON file that says where it was cut out, and the annotations; runs the task, and reads its
 * outputs and its log.
 *
 * <p>Arguments: server, bundle of examples/measure, crop (a PNG), its GeoJSON file, folder for the
 * outputs, and a GeoJSON file for each annotation.
 */
public final class MeasureCrop {
  private static final String TASK = "org.cytomine.examples.measure:1.0.0";

  private final AppEngineClient client;

  private MeasureCrop(AppEngineClient client) {
    this.client = client;
  }

  /** Run it. */
  public static void main(String[] arguments) throws IOException {
    if (arguments.length < 5) {
      System.err.println("give SERVER BUNDLE CROP REGION RESULTS OUTLINES…: see the README");
      System.exit(2);
    }
    List<Path> paths = new ArrayList<>();
    for (int index = 1; index < arguments.length; index++) {
      paths.add(Path.of(arguments[index]));
    }
    try (AppEngineClient client = AppEngineClient.connect(ConnectOptions.to(arguments[0]))) {
      MeasureCrop example = new MeasureCrop(client);
      example.install(paths.get(0));
      Run run = example.create(paths.get(1), paths.get(2), paths.subList(4, paths.size()));
      example.follow(run.getId());
      example.fetch(run.getId(), paths.get(3));
    } catch (AppEngineException error) {
      String text = error instanceof ServerException ? error.toString() : error.getMessage();
      System.err.println("error: " + text);
      System.exit(1);
    }
  }

  /** Upload the task unless the server has it. */
  private void install(Path bundle) throws IOException {
    try {
      Task task =
          client
              .tasks()
              .upload(
                  bundle,
                  TransferOptions.usual()
                      .withRequestId(idOf(bundle))
                      .withProgress(new SentTenths()));
      if (task.getState() != TaskState.TASK_STATE_READY) {
        throw new IllegalStateException(task.getFailure().getMessage());
      }
    } catch (ServerException refusal) {
      if (!refusal.reason().equals("TASK_EXISTS")) {
        throw refusal;
      }
    }
  }

  /** The same file has the same id, so that the next process goes on where this one was killed. */
  private static String idOf(Path bundle) throws IOException {
    if (!Files.exists(bundle)) {
      return null; // the upload says so
    }
    String name = bundle + " " + Files.size(bundle) + " " + Files.getLastModifiedTime(bundle);
    return UUID.nameUUIDFromBytes(name.getBytes(StandardCharsets.UTF_8)).toString();
  }

  /** Tells of each tenth that was sent. */
  private static final class SentTenths implements Consumer<Progress> {
    private long told;

    @Override
    public void accept(Progress now) {
      long tenths = now.totalBytes() == 0 ? 10 : 10 * now.doneBytes() / now.totalBytes();
      if (tenths > told) {
        told = tenths;
        System.out.printf("sent %d of %d bytes%n", now.doneBytes(), now.totalBytes());
      }
    }
  }

  private Run create(Path crop, Path region, List<Path> outlines) throws IOException {
    Run run =
        client.runs().create(TASK, Map.of(), RunOptions.none().withLabels(Map.of("by", "Java")));
    Map<String, Input> inputs = new HashMap<>();
    inputs.put("picture", Input.crop(crop, region));
    inputs.put("acquired_at", Input.of(OffsetDateTime.now()));
    inputs.put("title", Input.of("An annotated crop"));
    List<Input> annotations = new ArrayList<>();
    for (Path outline : outlines) {
      annotations.add(Input.geometry(Files.readString(outline)));
    }
    inputs.put("annotations", Input.array(annotations));
    inputs.put("labels", Input.array(outlines.stream().map(one -> Input.enumeration("other")).toList()));
    inputs.put("documents", Input.array(outlines.stream().map(Input::file).toList()));
    client.runs().provision(run.getId(), inputs, TransferOptions.usual());
    return client.runs().start(run.getId());
  }

  /** Show the states of the run until its end. */
  private void follow(String runId) {
    try (var changes = client.runs().watch(runId, 0)) {
      RunState shown = null;
      for (WatchRunResponse change : changes) {
        RunState state = change.getEvent().getState();
        if (state != shown) { // other changes, such as an input that came, leave it as it is
          System.out.println(state);
        }
        shown = state;
      }
    }
    Run ended = client.runs().get(runId);
    if (ended.getState() != RunState.RUN_STATE_SUCCEEDED) {
      throw new IllegalStateException(
          ended.hasFailure()
              ? ended.getFailure().getReason() + ": " + ended.getFailure().getMessage()
              : "the run was cancelled");
    }
  }

  private void fetch(String runId, Path folder) {
    for (ParameterValue output : client.runs().outputs(runId)) {
      if (output.getParameter().equals("summary")) {
        System.out.println("summary: " + output.getValue().getString());
      }
    }
    ByteString log = client.runs().log(runId);
    System.out.print("log:\n" + log.toStringUtf8());
    var fetched = client.runs().downloadOutputs(runId, folder, TransferOptions.usual());
    System.out.printf("%d files are in %s%n", fetched.files(), folder);
  }
}
