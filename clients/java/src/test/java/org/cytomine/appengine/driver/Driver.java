package org.cytomine.appengine.driver;

import com.google.gson.Gson;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.cytomine.appengine.client.AppEngineClient;
import org.cytomine.appengine.client.AppEngineException;
import org.cytomine.appengine.client.ConnectOptions;
import org.cytomine.appengine.client.Fetched;
import org.cytomine.appengine.client.Input;
import org.cytomine.appengine.client.Problem;
import org.cytomine.appengine.client.RunOptions;
import org.cytomine.appengine.client.ServerException;
import org.cytomine.appengine.client.TransferOptions;
import org.cytomine.appengine.v1.Resource;
import org.cytomine.appengine.v1.TailLogsResponse;
import org.cytomine.appengine.v1.WatchRunResponse;

/**
 * Does with the client what the tests say: one line of JSON in, and one or more out, the last of which
 * holds {@code ok} or {@code error}. The list of what is done is in tests/clients.
 */
public final class Driver {
  private static final Gson GSON = new Gson();
  private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

  private AppEngineClient client;

  private Driver() {}

  /** Obey until there is no more input. */
  public static void main(String[] arguments) throws IOException {
    var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    Driver driver = new Driver();
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      try {
        say("ok", driver.obey(JsonParser.parseString(line).getAsJsonObject()));
      } catch (ServerException refusal) {
        say("error", described(refusal));
      } catch (AppEngineException error) {
        say("error", GSON.toJsonTree(Map.of("message", error.getMessage())));
      }
    }
    System.exit(0);
  }

  private static void say(String what, JsonElement content) {
    JsonObject line = new JsonObject();
    line.add(what, content);
    OUT.println(GSON.toJson(line));
  }

  private JsonElement obey(JsonObject order) {
    String run = text(order, "run");
    return switch (text(order, "do")) {
      case "connect" -> connect(order);
      case "upload_task" ->
          message(client.tasks().upload(Path.of(text(order, "bundle")), TransferOptions.usual()));
      case "create" ->
          message(client.runs().create(text(order, "task"), Inputs.of(order), options(order)));
      case "provision" ->
          message(client.runs().provision(run, Inputs.of(order), TransferOptions.usual()));
      case "start" -> message(client.runs().start(run));
      case "cancel" -> message(client.runs().cancel(run));
      case "run" -> message(client.runs().get(run));
      case "wait" -> message(client.runs().await(run));
      case "watch" -> watch(run, number(order, "after"));
      case "logs" -> logs(run, number(order, "cursor"));
      case "inputs" -> messages(client.runs().inputs(run));
      case "outputs" -> messages(client.runs().outputs(run));
      case "download" -> download(order, run);
      default -> throw new IllegalArgumentException("there is no " + order);
    };
  }

  private JsonElement connect(JsonObject order) {
    if (client != null) {
      client.close();
    }
    ConnectOptions options = ConnectOptions.to(text(order, "server")).withToken(text(order, "token"));
    if (order.has("ca")) {
      options = options.withCaFile(Path.of(text(order, "ca")));
    }
    client = AppEngineClient.connect(options);
    return new JsonObject();
  }

  private static RunOptions options(JsonObject order) {
    boolean isStarted = order.has("start") && order.get("start").getAsBoolean();
    RunOptions options = isStarted ? RunOptions.start() : RunOptions.none();
    return order.has("request_id") ? options.withRequestId(text(order, "request_id")) : options;
  }

  private JsonElement watch(String run, long after) {
    try (var changes = client.runs().watch(run, after)) {
      for (WatchRunResponse change : changes) {
        say("event", message(change.getEvent()));
      }
    }
    return new JsonObject();
  }

  private JsonElement logs(String run, long cursor) {
    StringBuilder text = new StringBuilder();
    try (var pieces = client.runs().logs(run, cursor, true)) {
      for (TailLogsResponse piece : pieces) {
        text.append(piece.getData().toStringUtf8());
      }
    }
    return new JsonPrimitive(text.toString());
  }

  private JsonElement download(JsonObject order, String run) {
    Resource.Builder resource = Resource.newBuilder().setPath(text(order, "path"));
    if (text(order, "of").equals("outputs")) {
      resource.setRunOutputs(run);
    } else {
      resource.setRunInputs(run);
    }
    Path folder = Path.of(text(order, "folder"));
    Fetched fetched = client.runs().download(resource.build(), folder, TransferOptions.usual());
    return GSON.toJsonTree(
        Map.of("names", fetched.names(), "bytes", fetched.bytes(), "files", fetched.files()));
  }

  private static JsonElement described(ServerException refusal) {
    Map<String, Object> all = new HashMap<>();
    all.put("status", refusal.status().name());
    all.put("reason", refusal.reason());
    all.put("message", refusal.getMessage());
    all.put("problems", refusal.problems().stream().map(Driver::described).toList());
    all.put("fields", refusal.fields());
    return GSON.toJsonTree(all);
  }

  private static Map<String, String> described(Problem problem) {
    return Map.of(
        "path", problem.path(), "reason", problem.reason(), "message", problem.message());
  }

  private static JsonElement messages(List<? extends Message> all) {
    return GSON.toJsonTree(all.stream().map(Driver::message).toList());
  }

  private static JsonElement message(Message message) {
    try {
      return JsonParser.parseString(JsonFormat.printer().print(message));
    } catch (InvalidProtocolBufferException error) {
      throw new IllegalStateException(error);
    }
  }

  static String text(JsonObject order, String name) {
    return order.has(name) ? order.get(name).getAsString() : "";
  }

  private static long number(JsonObject order, String name) {
    return order.has(name) ? order.get(name).getAsLong() : 0;
  }
}
