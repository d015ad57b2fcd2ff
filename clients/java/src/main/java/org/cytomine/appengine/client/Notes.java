package org.cytomine.appengine.client;

import com.google.protobuf.CodedOutputStream;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.MessageLite;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.cytomine.appengine.v1.DownloadResponse;

/**
 * Says beside a download how far it is, for the process that follows a killed one: each message once
 * it was written, without its data, and the place behind it. What comes after the last whole pair is
 * dropped, and comes again.
 */
final class Notes implements AutoCloseable {
  private final FileChannel channel;

  private Notes(FileChannel channel) {
    this.channel = channel;
  }

  /** Have the writer take over what was noted, and go on behind it. */
  static Notes open(Path path, TreeWriter writer) throws IOException {
    long length = Files.exists(path) ? recall(path, writer) : 0;
    FileChannel channel =
        FileChannel.open(path, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
    channel.truncate(length).position(length);
    return new Notes(channel);
  }

  /** Answers how many bytes hold whole pairs. */
  private static long recall(Path path, TreeWriter writer) throws IOException {
    long length = 0;
    try (InputStream notes = new BufferedInputStream(Files.newInputStream(path))) {
      while (true) {
        var message = DownloadResponse.parseDelimitedFrom(notes);
        var after = message == null ? null : nextPlace(notes);
        if (after == null) {
          return length;
        }
        length += sizeOf(message) + sizeOf(after);
        writer.recall(message, Place.of(after));
      }
    } catch (InvalidProtocolBufferException torn) {
      return length;
    }
  }

  private static org.cytomine.appengine.v1.Place nextPlace(InputStream notes) throws IOException {
    return org.cytomine.appengine.v1.Place.parseDelimitedFrom(notes);
  }

  private static long sizeOf(MessageLite message) {
    int size = message.getSerializedSize();
    return CodedOutputStream.computeUInt32SizeNoTag(size) + (long) size;
  }

  /** Note a message that was written. */
  void add(DownloadResponse message, Place after) throws IOException {
    var kept = message.toBuilder();
    if (TreeWriter.isEmpty(message.getChunk())) {
      kept.clearChunk();
    } else {
      kept.getChunkBuilder().clearData();
    }
    ByteArrayOutputStream pair = new ByteArrayOutputStream();
    kept.build().writeDelimitedTo(pair);
    after.message().writeDelimitedTo(pair);
    ByteBuffer left = ByteBuffer.wrap(pair.toByteArray());
    while (left.hasRemaining()) {
      channel.write(left);
    }
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
