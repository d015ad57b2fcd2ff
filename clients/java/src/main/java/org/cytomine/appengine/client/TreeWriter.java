package org.cytomine.appengine.client;

import com.google.protobuf.ByteString;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
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
  private final Path folder;
  private final PathRules rules = new PathRules();
  private final Map<Long, Ended> unended = new HashMap<>();
  private final Set<Path> made = new HashSet<>();
  private Place place = Place.START;
  private Place end;
  private String etag = "";
  private int files;
  private Growing growing;

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

  /** Write a message and move the place. */
  void apply(DownloadResponse message) {
    if (message.hasHeader()) {
      Place newEnd = Place.of(message.getHeader().getEnd());
      String newEtag = message.getHeader().getEtag();
      if (end != null && !(etag.equals(newEtag) && end.equals(newEnd))) {
        throw TransferException.broken("the content changed while it was downloaded: start again");
      }
      etag = newEtag;
      end = newEnd;
    }
    Chunk chunk = message.getChunk();
    if (chunk.getData().isEmpty() && chunk.getEntriesCount() + chunk.getEndsCount() == 0) {
      return; // without content it keeps the stream alive
    }
    check(chunk);
    try {
      write(chunk);
    } catch (IOException error) {
      throw new LocalFileException("what was downloaded cannot be written", error);
    }
  }

  private void check(Chunk chunk) {
    if (end == null) {
      throw TransferException.broken("the download begins without a header");
    }
    Place at = Place.of(chunk.getPlace());
    if (!at.equals(place)) {
      throw TransferException.broken("the download goes on at %s, %s was expected", at, place);
    }
    CRC32C crc = new CRC32C();
    crc.update(chunk.getData().asReadOnlyByteBuffer());
    if ((int) crc.getValue() != chunk.getCrc32C()) {
      throw TransferException.cut("a chunk of the download has a wrong checksum");
    }
  }

  private void write(Chunk chunk) throws IOException {
    long entries = place.entries();
    ByteString rest = fill(chunk.getData());
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
      rest = fill(rest);
    }
    if (!rest.isEmpty()) {
      throw TransferException.broken("the server sent bytes that belong to no file");
    }
    for (FileEnd one : chunk.getEndsList()) {
      Ended known = unended.remove(one.getIndex());
      if (known != null && known.crc() != one.getCrc32C()) {
        throw TransferException.broken("the file %s does not match its checksum", known.path());
      }
    }
    place = new Place(place.bytes() + chunk.getData().size(), entries);
  }

  private void begin(Entry entry) throws IOException {
    if (!rules.admit(entry)) {
      return;
    }
    Path local = folder.resolve(entry.getPath());
    makeFolder(local.getParent());
    switch (entry.getKind()) {
      case ENTRY_KIND_FOLDER -> makeFolder(local);
      case ENTRY_KIND_LINK -> Files.createSymbolicLink(local, Path.of(entry.getLinkTarget()));
      case ENTRY_KIND_FILE -> {
        FileChannel channel =
            FileChannel.open(local, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW);
        files++;
        growing = new Growing(entry, channel);
        complete();
      }
      default ->
          throw TransferException.broken(
              "%s is neither file nor folder nor link", entry.getPath());
    }
  }

  private void makeFolder(Path one) throws IOException {
    if (made.add(one)) {
      Files.createDirectories(one);
    }
  }

  /** Write what belongs to the file that is open, and answer the rest. */
  private ByteString fill(ByteString data) throws IOException {
    if (growing == null || data.isEmpty()) {
      return data;
    }
    int length = (int) Math.min(data.size(), growing.rest);
    ByteString part = data.substring(0, length);
    growing.crc.update(part.asReadOnlyByteBuffer());
    ByteBuffer left = part.asReadOnlyByteBuffer();
    while (left.hasRemaining()) {
      growing.channel.write(left);
    }
    growing.rest -= length;
    complete();
    return data.substring(length);
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
    if (growing != null) {
      try {
        growing.channel.close();
      } catch (IOException error) {
        throw new LocalFileException("what was downloaded cannot be written", error);
      }
      growing = null;
    }
  }
}
