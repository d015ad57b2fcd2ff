package org.cytomine.appengine.client;

import com.google.protobuf.UnsafeByteOperations;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.zip.CRC32C;
import org.cytomine.appengine.v1.Chunk;
import org.cytomine.appengine.v1.FileEnd;

/** Reads a source in order and makes chunks of it. Keeps at most one file open. */
final class ChunkReader implements AutoCloseable {
  private static final int PREFIX_STEP_BYTES = 4 * Connection.MIB;

  private final List<SourceEntry> entries;
  private FileChannel file;
  private int openIndex = -1;

  // The checksum of the first bytes of one file.
  private int crcIndex = -1;
  private CRC32C crc = new CRC32C();
  private long crcBytes;

  ChunkReader(List<SourceEntry> entries) {
    this.entries = entries;
  }

  /** Read what was planned. */
  Chunk chunk(Outline.Plan plan) {
    Chunk.Builder made = Chunk.newBuilder().setPlace(plan.place().message());
    for (int index = (int) plan.place().entries(); index < plan.begins(); index++) {
      made.addEntries(entries.get(index).message(index));
    }
    Map<Integer, Integer> crcs = wholeAlready(plan);
    byte[] data = new byte[(int) (plan.after().bytes() - plan.place().bytes())];
    int done = 0;
    for (Outline.Piece piece : plan.pieces()) {
      moveChecksum(piece.entry(), piece.offset());
      read(piece.entry(), piece.offset(), ByteBuffer.wrap(data, done, piece.length()));
      crc.update(data, done, piece.length());
      crcBytes += piece.length();
      crcs.put(piece.entry(), (int) crc.getValue());
      done += piece.length();
    }
    for (int index : plan.ends()) {
      made.addEnds(FileEnd.newBuilder().setIndex(index).setCrc32C(crcs.getOrDefault(index, 0)));
    }
    // Nobody writes into the array any more, so it need not be copied.
    return made.setData(UnsafeByteOperations.unsafeWrap(data)).setCrc32C(crcOf(data)).build();
  }

  private static int crcOf(byte[] data) {
    CRC32C whole = new CRC32C();
    whole.update(data);
    return (int) whole.getValue();
  }

  /** The checksums of files that end in this chunk and have no bytes in it. */
  private Map<Integer, Integer> wholeAlready(Outline.Plan plan) {
    Map<Integer, Integer> crcs = new HashMap<>();
    Set<Integer> here = plan.pieces().stream().map(Outline.Piece::entry).collect(Collectors.toSet());
    for (int index : plan.ends()) {
      long size = entries.get(index).size();
      if (size > 0 && !here.contains(index)) {
        moveChecksum(index, size);
        crcs.put(index, (int) crc.getValue());
      }
    }
    return crcs;
  }

  /** Have the checksum of the first bytes of a file, reading it again if need be. */
  private void moveChecksum(int index, long offset) {
    if (crcIndex == index && crcBytes == offset) {
      return;
    }
    crcIndex = index;
    crc = new CRC32C();
    crcBytes = 0;
    ByteBuffer buffer = ByteBuffer.allocate((int) Math.min(offset, PREFIX_STEP_BYTES));
    while (crcBytes < offset) {
      buffer.clear().limit((int) Math.min(offset - crcBytes, buffer.capacity()));
      read(index, crcBytes, buffer);
      crc.update(buffer.flip());
      crcBytes += buffer.limit();
    }
  }

  /** Fill the buffer with what is in a file from a byte on. */
  private void read(int index, long offset, ByteBuffer into) {
    SourceEntry entry = entries.get(index);
    if (entry.local() == null) {
      into.put(entry.content(), (int) offset, into.remaining());
      return;
    }
    try {
      open(index);
      long position = offset;
      while (into.hasRemaining()) {
        int count = file.read(into, position);
        if (count < 0) {
          throw new LocalFileException(entry.local() + " became shorter while it was sent");
        }
        position += count;
      }
    } catch (IOException error) {
      throw new LocalFileException(entry.local() + " cannot be read", error);
    }
  }

  private void open(int index) throws IOException {
    if (openIndex == index) {
      return;
    }
    close();
    SourceEntry entry = entries.get(index);
    if (entry.hasChanged()) {
      throw new LocalFileException(entry.local() + " has changed while it was sent");
    }
    file = FileChannel.open(entry.local(), StandardOpenOption.READ);
    openIndex = index;
  }

  @Override
  public void close() {
    if (file != null) {
      try {
        file.close();
      } catch (IOException error) {
        throw new LocalFileException("a file that was sent cannot be closed", error);
      }
      file = null;
      openIndex = -1;
    }
  }
}
