package org.cytomine.appengine.client;

import com.google.protobuf.NullValue;
import java.nio.file.Path;
import java.time.OffsetDateTime;
import java.time.format.DateTimeFormatter;
import java.util.List;
import org.cytomine.appengine.v1.ArrayValue;
import org.cytomine.appengine.v1.DatasetReference;
import org.cytomine.appengine.v1.DateTime;
import org.cytomine.appengine.v1.Value;

/**
 * What an input of a run takes: a value, a file to upload, or an array of these. Nothing is converted
 * between kinds, except that an integer is a valid number.
 */
public sealed interface Input {
  /** A value of the type boolean. */
  static Input of(boolean value) {
    return new Plain(Value.newBuilder().setBoolean(value).build());
  }

  /** A value of the type integer or number. */
  static Input of(long value) {
    return new Plain(Value.newBuilder().setInteger(value).build());
  }

  /** A value of the type number. */
  static Input of(double value) {
    return new Plain(Value.newBuilder().setNumber(value).build());
  }

  /** A value of the type string. A long one is uploaded. */
  static Input of(String value) {
    return new Plain(Value.newBuilder().setString(value).build());
  }

  /** A moment with its zone. */
  static Input of(OffsetDateTime value) {
    return dateTime(DateTimeFormatter.ISO_OFFSET_DATE_TIME.format(value));
  }

  /** One of the texts that the task lists. */
  static Input enumeration(String value) {
    return new Plain(Value.newBuilder().setEnumeration(value).build());
  }

  /** A moment as the task will see it, such as 2024-05-01T12:00:00+02:00. */
  static Input dateTime(String text) {
    return new Plain(Value.newBuilder().setDatetime(DateTime.newBuilder().setText(text)).build());
  }

  /** One GeoJSON object as text, which is kept byte for byte. A long one is uploaded. */
  static Input geometry(String geojson) {
    return new Plain(Value.newBuilder().setGeometry(geojson).build());
  }

  /** A local file, or a folder of WSI-DICOM files, to upload as a file or image. */
  static Input file(Path path) {
    return new LocalFile(path, null);
  }

  /** A local image with the GeoJSON file that says where in a larger one it was cropped from. */
  static Input crop(Path path, Path companion) {
    return new LocalFile(path, companion);
  }

  /** A file or folder of a dataset that the server has: used in place, never copied. */
  static Input reference(String path) {
    return new Plain(Value.newBuilder().setDataset(DatasetReference.newBuilder().setPath(path)).build());
  }

  /** An array of all files of a dataset that match, such as {@code /data/set1/*.tiff}. */
  static Input referencePattern(String pattern) {
    return new Plain(
        Value.newBuilder().setDataset(DatasetReference.newBuilder().setPattern(pattern)).build());
  }

  /** An array of values, files, or arrays. */
  static Input array(List<Input> items) {
    return new Items(List.copyOf(items));
  }

  /** An array of values, files, or arrays. */
  static Input array(Input... items) {
    return new Items(List.of(items));
  }

  /** Clears an optional input. */
  static Input none() {
    return new Plain(Value.newBuilder().setNull(NullValue.NULL_VALUE).build());
  }

  /** A value that travels in a request. */
  record Plain(Value value) implements Input {
    boolean isReference() {
      return value.hasDataset();
    }
  }

  /** A local file; the companion may be null. */
  record LocalFile(Path path, Path companion) implements Input {}

  /** An array. */
  record Items(List<Input> items) implements Input {}

  /** Whether there is a file to upload in it, at any depth. */
  default boolean hasFiles() {
    return this instanceof LocalFile
        || this instanceof Items array && array.items().stream().anyMatch(Input::hasFiles);
  }

  /** Whether there is a reference in it, at any depth. */
  default boolean hasReferences() {
    return this instanceof Plain plain && plain.isReference()
        || this instanceof Items array && array.items().stream().anyMatch(Input::hasReferences);
  }

  /** An input without files as a value. */
  default Value message() {
    if (this instanceof Items array) {
      ArrayValue.Builder made = ArrayValue.newBuilder();
      array.items().forEach(item -> made.addItems(item.message()));
      return Value.newBuilder().setArray(made).build();
    }
    return ((Plain) this).value();
  }
}
