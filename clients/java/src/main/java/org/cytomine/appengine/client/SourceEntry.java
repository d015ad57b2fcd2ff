package org.cytomine.appengine.client;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.cytomine.appengine.v1.Entry;
import org.cytomine.appengine.v1.EntryKind;

/**
 * One file or folder of an upload, and where its bytes are.
 *
 * @param path in the transfer
 * @param local the file, or null where the bytes are in memory
 * @param modified of the local file when it was listed
 */
record SourceEntry(
    String path,
    EntryKind kind,
    long size,
    boolean isExecutable,
    Path local,
    byte[] content,
    FileTime modified,
    Object key) {

  static SourceEntry inMemory(String path, String content) {
    byte[] bytes = content.getBytes(StandardCharsets.UTF_8);
    return new SourceEntry(path, EntryKind.ENTRY_KIND_FILE, bytes.length, false, null, bytes, null, null);
  }

  /**
   * A file, or a folder with all that is in it, under the path that it has in the transfer. Links are
   * followed, for a person handed them over.
   */
  static List<SourceEntry> listed(String path, Path local) {
    List<SourceEntry> found = new ArrayList<>();
    try {
      list(path, local, List.of(), found);
    } catch (IOException error) {
      throw new LocalFileException(local + " cannot be read", error);
    }
    return found;
  }

  private static void list(String path, Path local, List<Object> above, List<SourceEntry> found)
      throws IOException {
    BasicFileAttributes facts = Files.readAttributes(local, BasicFileAttributes.class);
    if (facts.isRegularFile()) {
      boolean isExecutable = Files.isExecutable(local);
      found.add(
          new SourceEntry(
              path, EntryKind.ENTRY_KIND_FILE, facts.size(), isExecutable, local, null,
              facts.lastModifiedTime(), facts.fileKey()));
      return;
    }
    if (!facts.isDirectory()) {
      throw new LocalFileException(local + " is neither a file nor a folder and cannot be sent");
    }
    if (facts.fileKey() != null && above.contains(facts.fileKey())) {
      throw new LocalFileException(local + " is a link to a folder that holds it");
    }
    found.add(new SourceEntry(path, EntryKind.ENTRY_KIND_FOLDER, 0, false, local, null, null, null));
    List<Object> inside = new ArrayList<>(above);
    inside.add(facts.fileKey());
    try (Stream<Path> children = Files.list(local)) {
      for (Path child : children.sorted().toList()) {
        list(path + "/" + child.getFileName(), child, inside, found);
      }
    }
  }

  /** Whether the file is another one now than when it was listed. */
  boolean hasChanged() throws IOException {
    BasicFileAttributes facts = Files.readAttributes(local, BasicFileAttributes.class);
    boolean isSame =
        facts.isRegularFile()
            && facts.size() == size
            && facts.lastModifiedTime().equals(modified)
            && (key == null || key.equals(facts.fileKey()));
    return !isSame;
  }

  Entry message(int index) {
    return Entry.newBuilder()
        .setIndex(index)
        .setPath(path)
        .setKind(kind)
        .setSizeBytes(size)
        .setMode(isExecutable ? 0755 : 0)
        .build();
  }
}
