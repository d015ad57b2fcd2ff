package org.cytomine.appengine.client;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import java.util.zip.CRC32C;
import org.cytomine.appengine.v1.Chunk;
import org.cytomine.appengine.v1.DownloadResponse;
import org.cytomine.appengine.v1.Entry;
import org.cytomine.appengine.v1.FileEnd;

/**
 * Writes what is downloaded into an empty folder of ours. Nothing that the server says is trusted:
 * paths stay inside, links lead nowhere else, no path goes through a link, and every checksum is
 * tested before a place counts.
 */
final class TreeWriter implements AutoCloseable {
  private static final int MAX_MESSAGE_BYTES = 4 << 20;

  private final Path folder;
  private final PathRules rules = new PathRules();
  private final Map<Long, Ended> unended = new HashMap<>();
  private final Set<Path> made = new HashSet<>();
  private Place place = Place.START;
  private Place end;
  private String etag = "";
  private int files;
  private Growing growing;
  private Notes notes;
  private boolean isRecalling; // what is written is there already: it is read instead

  /** A file that has all its bytes, and whose checksum has not come yet. */
  private record Ended(String path, int crc) {}

  /** The file whose content is arriving. */
  private static final class Growing {
    private final Entry entry;
    private final FileChannel channel;
    private final CRC32C crc = new CRC32C();
    private long rest;

    Growing(Entry entry, FileChannel channel) {
      this.entry = entry;
      this.channel = channel;
      rest = entry.getSizeBytes();
    }
  }

  TreeWriter(Path folder) {
    this.folder = folder;
  }

  Path folder() {
    return folder;
  }

  Place place() {
    return place;
  }

  Place end() {
    return end == null ? Place.START : end;
  }

  String etag() {
    return etag;
  }

  int files() {
    return files;
  }

  boolean isComplete() {
    return place.equals(end);
  }

  /** Check that every file has ended with its checksum. */
  void finish() {
    for (Ended left : unended.values()) {
      throw TransferException.broken("the server did not end the file %s with its checksum", left.path());
    }
  }

  /** Note from now on what was written. */
  void keep(Notes newNotes) {
    notes = newNotes;
  }

  /** Write a message and move the place. */
  void apply(DownloadResponse message) {
    begin(message);
    Chunk chunk = message.getChunk();
    try {
      if (!isEmpty(chunk)) {
        expect(chunk);
        ByteBuffer data = chunk.getData().asReadOnlyByteBuffer();
        if (crcOf(data) != chunk.getCrc32C()) {
          throw TransferException.cut("a chunk of the download has a wrong checksum");
        }
        write(chunk, data);
      }
      if (notes != null) {
        notes.add(message, place);
      }
    } catch (IOException error) {
      throw new LocalFileException("what was downloaded cannot be written", error);
    }
  }

  /**
   * Take over what a killed writer has noted of a message: its data are read from the folder, and must
   * be what they were.
   */
  void recall(DownloadResponse message, Place after) throws IOException {
    begin(message);
    if (!message.hasChunk()) {
      return;
    }
    expect(message.getChunk());
    long length = after.bytes() - place.bytes();
    if (length < 0 || length > MAX_MESSAGE_BYTES) {
      throw TransferException.broken("a note tells of a chunk of %d bytes", length);
    }
    ByteBuffer data = ByteBuffer.allocate((int) length);
    isRecalling = true;
    write(message.getChunk(), data.duplicate());
    isRecalling = false;
    if (crcOf(data) != message.getChunk().getCrc32C()) {
      throw TransferException.broken("what lies there is not what was written");
    }
  }

  /** Remove what was written and is not in the notes. */
  void dropTheRest() throws IOException {
    if (growing != null) {
      growing.channel.truncate(growing.channel.position());
    }
    List<Path> all;
    try (Stream<Path> found = Files.walk(folder)) {
      all = found.sorted(Comparator.reverseOrder()).toList();
    }
    for (Path one : all) {
      if (!one.equals(folder) && !rules.know(folder.relativize(one).toString())) {
        Files.delete(one);
      }
    }
  }

  /** Whether a chunk holds nothing to write: it keeps the stream alive. */
  static boolean isEmpty(Chunk chunk) {
    return chunk.getData().isEmpty() && chunk.getEntriesCount() + chunk.getEndsCount() == 0;
  }

  private void begin(DownloadResponse message) {
    if (!message.hasHeader()) {
      return;
    }
    Place newEnd = Place.of(message.getHeader().getEnd());
    String newEtag = message.getHeader().getEtag();
    if (end != null && !(etag.equals(newEtag) && end.equals(newEnd))) {
      throw TransferException.broken("the content changed while it was downloaded: start again");
    }
    etag = newEtag;
    end = newEnd;
  }

  private static int crcOf(ByteBuffer data) {
    CRC32C crc = new CRC32C();
    crc.update(data.duplicate());
    return (int) crc.getValue();
  }

  private void expect(Chunk chunk) {
    if (end == null) {
      throw TransferException.broken("the download begins without a header");
    }
    Place at = Place.of(chunk.getPlace());
    if (!at.equals(place)) {
      throw TransferException.broken("the download goes on at %s, %s was expected", at, place);
    }
  }

  private void write(Chunk chunk, ByteBuffer data) throws IOException {
    int length = data.remaining();
    long entries = place.entries();
    fill(data);
    for (Entry entry : chunk.getEntriesList()) {
      if (entry.getIndex() < entries) {
        continue; // sent again
      }
      if (entry.getIndex() != entries) {
        throw TransferException.broken("the server left out the entry %d", entries);
      }
      if (growing != null) {
        throw TransferException.broken(
            "%s begins before the file before it is whole", entry.getPath());
      }
      entries++;
      begin(entry);
      fill(data);
    }
    if (data.hasRemaining()) {
      throw TransferException.broken("the server sent bytes that belong to no file");
    }
    for (FileEnd one : chunk.getEndsList()) {
      Ended known = unended.remove(one.getIndex());
      if (known != null && known.crc() != one.getCrc32C()) {
        throw TransferException.broken("the file %s does not match its checksum", known.path());
      }
    }
    place = new Place(place.bytes() + length, entries);
  }

  private void begin(Entry entry) throws IOException {
    if (!rules.admit(entry)) {
      return;
    }
    Path local = folder.resolve(entry.getPath());
    makeFolder(local.getParent());
    switch (entry.getKind()) {
      case ENTRY_KIND_FOLDER -> makeFolder(local);
      case ENTRY_KIND_LINK -> link(local, Path.of(entry.getLinkTarget()));
      case ENTRY_KIND_FILE -> {
        FileChannel channel =
            isRecalling
                ? FileChannel.open(local, StandardOpenOption.READ, StandardOpenOption.WRITE)
                : FileChannel.open(local, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW);
        files++;
        growing = new Growing(entry, channel);
        complete();
      }
      default ->
          throw TransferException.broken(
              "%s is neither file nor folder nor link", entry.getPath());
    }
  }

  private void link(Path local, Path target) throws IOException {
    if (!isRecalling) {
      Files.createSymbolicLink(local, target);
    } else if (!Files.readSymbolicLink(local).equals(target)) {
      throw TransferException.broken("%s leads elsewhere", local);
    }
  }

  private void makeFolder(Path one) throws IOException {
    if (made.add(one)) {
      Files.createDirectories(one);
    }
  }

  /** Write what belongs to the file that is open, and leave the rest. */
  private void fill(ByteBuffer data) throws IOException {
    if (growing == null || !data.hasRemaining()) {
      return;
    }
    int length = (int) Math.min(data.remaining(), growing.rest);
    ByteBuffer part = data.slice(data.position(), length);
    ByteBuffer left = part.duplicate();
    while (left.hasRemaining()) {
      int moved = isRecalling ? growing.channel.read(left) : growing.channel.write(left);
      if (moved < 0) {
        throw new EOFException(growing.entry.getPath() + " is shorter than it was");
      }
    }
    growing.crc.update(part);
    growing.rest -= length;
    data.position(data.position() + length);
    complete();
  }

  private void complete() throws IOException {
    if (growing.rest > 0) {
      return;
    }
    Growing whole = growing;
    growing = null;
    whole.channel.close();
    Entry entry = whole.entry;
    if ((entry.getMode() & 0111) != 0 && !folder.resolve(entry.getPath()).toFile().setExecutable(true)) {
      throw new IOException(entry.getPath() + " cannot be made executable");
    }
    unended.put(entry.getIndex(), new Ended(entry.getPath(), (int) whole.crc.getValue()));
  }

  @Override
  public void close() {
    try {
      if (growing != null) {
        growing.channel.close();
      }
      if (notes != null) {
        notes.close();
      }
    } catch (IOException error) {
      throw new LocalFileException("what was downloaded cannot be written", error);
    }
    growing = null;
    notes = null;
  }
}
