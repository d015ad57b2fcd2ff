package org.cytomine.appengine.driver;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.cytomine.appengine.client.Input;

/** Inputs as the tests write them: objects of one field. Numbers are texts, so nothing is lost. */
final class Inputs {
  private Inputs() {}

  static Map<String, Input> of(JsonObject order) {
    Map<String, Input> inputs = new HashMap<>();
    if (order.has("inputs")) {
      for (var given : order.getAsJsonObject("inputs").entrySet()) {
        inputs.put(given.getKey(), input(given.getValue()));
      }
    }
    return inputs;
  }

  private static Input input(JsonElement given) {
    JsonObject one = given.getAsJsonObject();
    if (one.has("companion")) {
      return Input.crop(Path.of(text(one, "file")), Path.of(text(one, "companion")));
    }
    String kind = one.keySet().iterator().next();
    return switch (kind) {
      case "boolean" -> Input.of(one.get(kind).getAsBoolean());
      case "integer" -> Input.of(Long.parseLong(text(one, kind)));
      case "number" -> Input.of(Double.parseDouble(text(one, kind)));
      case "string" -> Input.of(text(one, kind));
      case "enumeration" -> Input.enumeration(text(one, kind));
      case "datetime" -> Input.dateTime(text(one, kind));
      case "geometry" -> Input.geometry(text(one, kind));
      case "file" -> Input.file(Path.of(text(one, kind)));
      case "reference" -> Input.reference(text(one, kind));
      case "pattern" -> Input.referencePattern(text(one, kind));
      case "null" -> Input.none();
      case "array" -> array(one);
      default -> throw new IllegalArgumentException("there is no input " + kind);
    };
  }

  private static Input array(JsonObject one) {
    List<Input> items = new ArrayList<>();
    one.getAsJsonArray("array").forEach(item -> items.add(input(item)));
    return Input.array(items);
  }

  private static String text(JsonObject one, String name) {
    return Driver.text(one, name);
  }
}
