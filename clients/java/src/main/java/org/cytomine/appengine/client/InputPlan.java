package org.cytomine.appengine.client;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.cytomine.appengine.v1.ArrayValue;
import org.cytomine.appengine.v1.InputPart;
import org.cytomine.appengine.v1.InputValue;
import org.cytomine.appengine.v1.Value;

/** How all inputs get to the server: the requests first, then the uploads. */
final class InputPlan {
  // Values of one request together; gRPC takes 4 MiB.
  private static final int MAX_REQUEST_BYTES = 3 * Connection.MIB;

  private final List<InputValue> values = new ArrayList<>();
  private final List<PlannedUpload> uploads = new ArrayList<>();

  /** One upload that provisions an input. */
  record PlannedUpload(String parameter, InputPart part, List<SourceEntry> entries) {}

  private InputPlan() {}

  /** Decide for each input how it travels. */
  static InputPlan of(Map<String, Input> inputs, long maxInlineBytes) {
    InputPlan plan = new InputPlan();
    new TreeMap<>(inputs).forEach((name, input) -> plan.add(name, input, maxInlineBytes));
    return plan;
  }

  boolean fitsOneRequest() {
    return uploads.isEmpty() && requests().size() <= 1;
  }

  List<PlannedUpload> uploads() {
    return uploads;
  }

  /** The values in requests that are small enough. */
  List<List<InputValue>> requests() {
    List<List<InputValue>> made = new ArrayList<>();
    int room = 0;
    for (InputValue value : values) {
      int size = value.getSerializedSize() + 8;
      if (made.isEmpty() || size > room) {
        made.add(new ArrayList<>());
        room = MAX_REQUEST_BYTES;
      }
      made.get(made.size() - 1).add(value);
      room -= size;
    }
    return made;
  }

  private void add(String name, Input input, long maxInlineBytes) {
    if (input.hasFiles()) {
      new FileInput(name, input).add();
      return;
    }
    Value value = input.message();
    if (value.getSerializedSize() <= maxInlineBytes) {
      values.add(InputValue.newBuilder().setParameter(name).setValue(value).build());
    } else if (input.hasReferences()) { // many references: nothing to upload
      addReferences(name, value);
    } else {
      List<SourceEntry> entries = new ArrayList<>();
      addEntries(name, value, entries);
      uploads.add(new PlannedUpload(name, InputPart.INPUT_PART_WHOLE, entries));
    }
  }

  /** An array of references whole, or item by item where one request has no room for it. */
  private void addReferences(String name, Value value) {
    InputValue.Builder whole = InputValue.newBuilder().setParameter(name);
    if (value.getSerializedSize() <= MAX_REQUEST_BYTES) {
      values.add(whole.setValue(value).build());
      return;
    }
    values.add(whole.setValue(emptyArray()).build());
    List<Value> items = value.getArray().getItemsList();
    for (int index = 0; index < items.size(); index++) {
      values.add(
          InputValue.newBuilder().setParameter(name).addIndex(index).setValue(items.get(index)).build());
    }
  }

  /** A large value as the files of the run's input folder. */
  private static void addEntries(String path, Value value, List<SourceEntry> entries) {
    if (!value.hasArray()) {
      entries.add(SourceEntry.inMemory(path, textOnDisk(value)));
      return;
    }
    List<Value> items = value.getArray().getItemsList();
    entries.add(arrayMetadata(path, items.size()));
    for (int index = 0; index < items.size(); index++) {
      addEntries(path + "/" + index, items.get(index), entries);
    }
  }

  private static SourceEntry arrayMetadata(String path, int size) {
    return SourceEntry.inMemory(path + "/array.yml", "size: " + size + "\n");
  }

  private static Value emptyArray() {
    return Value.newBuilder().setArray(ArrayValue.getDefaultInstance()).build();
  }

  /** A scalar value as the file that a task reads. */
  private static String textOnDisk(Value value) {
    return switch (value.getKindCase()) {
      case BOOLEAN -> Boolean.toString(value.getBoolean());
      case INTEGER -> Long.toString(value.getInteger());
      case NUMBER -> numberText(value.getNumber());
      case STRING -> value.getString();
      case ENUMERATION -> value.getEnumeration();
      case DATETIME -> value.getDatetime().getText();
      case GEOMETRY -> value.getGeometry();
      default -> throw new IllegalArgumentException(value.getKindCase() + " has no text");
    };
  }

  private static String numberText(double number) {
    if (Double.isNaN(number)) {
      return "nan";
    }
    if (Double.isInfinite(number)) {
      return number > 0 ? "inf" : "-inf";
    }
    return Double.toString(number);
  }

  /** A file, an image, or an array of them: uploads, and values for the items that are references. */
  private final class FileInput {
    private final String name;
    private final Input input;
    private final List<SourceEntry> items = new ArrayList<>();
    private final List<SourceEntry> companions = new ArrayList<>();
    // A folder with `array.yml` is an array whole, which clears what is referenced in it.
    private final Set<String> inParts = new HashSet<>();

    FileInput(String name, Input input) {
      this.name = name;
      this.input = input;
    }

    void add() {
      InputPart part = InputPart.INPUT_PART_WHOLE;
      if (input.hasReferences()) {
        // Items that are uploaded must not clear those that are referenced. An empty array before
        // them clears what the run may have had there.
        part = InputPart.INPUT_PART_ITEMS;
        values.add(InputValue.newBuilder().setParameter(name).setValue(emptyArray()).build());
        findParts(name, input);
      }
      addLeaves(name, List.of(), input);
      if (input instanceof Input.Items) { // companions of items lie beside them
        items.addAll(companions);
        companions.clear();
      }
      uploads.add(new PlannedUpload(name, part, items));
      if (!companions.isEmpty()) {
        uploads.add(new PlannedUpload(name, InputPart.INPUT_PART_COMPANION, companions));
      }
    }

    private void findParts(String path, Input one) {
      if (one instanceof Input.Items array && one.hasReferences()) {
        inParts.add(path);
        for (int index = 0; index < array.items().size(); index++) {
          findParts(path + "/" + index, array.items().get(index));
        }
      }
    }

    private void addLeaves(String path, List<Long> index, Input one) {
      if (one instanceof Input.Items array) {
        if (!inParts.contains(path)) {
          items.add(arrayMetadata(path, array.items().size()));
        }
        for (int number = 0; number < array.items().size(); number++) {
          List<Long> inside = new ArrayList<>(index);
          inside.add((long) number);
          addLeaves(path + "/" + number, inside, array.items().get(number));
        }
      } else if (one instanceof Input.LocalFile file) {
        items.addAll(SourceEntry.listed(path, file.path()));
        if (file.companion() != null) {
          companions.addAll(SourceEntry.listed(path + ".geojson", file.companion()));
        }
      } else if (one instanceof Input.Plain plain && plain.isReference()) {
        values.add(
            InputValue.newBuilder()
                .setParameter(name)
                .addAllIndex(index)
                .setValue(plain.value())
                .build());
      } else {
        throw new AppEngineException(
            "the input %s: an array with files to upload may hold files and references, no other values"
                .formatted(name));
      }
    }
  }
}
