package org.cytomine.appengine.client;

import java.util.ArrayList;
import java.util.List;
import org.cytomine.appengine.v1.EntryKind;

/** All entries of a transfer in order, and where the content of each begins. Knows no file. */
final class Outline {
  // Both keep a message of 2 MiB of data below the 4 MiB that gRPC takes.
  private static final int MAX_CHUNK_ENTRIES = 4096;
  private static final int MAX_CHUNK_NAME_BYTES = 512 << 10;

  private final List<SourceEntry> entries;
  private final long[] starts;

  /** A stretch of one file's content in a chunk. */
  record Piece(int entry, long offset, int length) {}

  /**
   * What one chunk will hold.
   *
   * @param place where its data begins
   * @param begins index behind the last entry that begins in it
   * @param ends files that end in it
   */
  record Plan(Place place, int begins, List<Piece> pieces, List<Integer> ends, Place after) {}

  Outline(List<SourceEntry> entries) {
    this.entries = entries;
    starts = new long[entries.size() + 1];
    for (int index = 0; index < entries.size(); index++) {
      starts[index + 1] = starts[index] + entries.get(index).size();
    }
  }

  List<SourceEntry> entries() {
    return entries;
  }

  Place end() {
    return new Place(starts[entries.size()], entries.size());
  }

  /** Whether there is such a place: its bytes lie in the last entry that has begun. */
  boolean holds(Place place) {
    if (!place.isBehindOrAt(end()) || place.bytes() < 0 || place.entries() < 0) {
      return false;
    }
    int begun = (int) place.entries();
    return begun == 0
        ? place.bytes() == 0
        : starts[begun - 1] <= place.bytes() && place.bytes() <= starts[begun];
  }

  /**
   * What goes into the chunk that begins at a place. After a rewind the end of the last file is sent
   * again, for whether the server has it, its place does not tell.
   */
  Plan plan(Place place, int chunkBytes, boolean endAgain) {
    Filling filling = new Filling(chunkBytes, place.bytes());
    int index = (int) place.entries();
    if (index > 0 && (endAgain || place.bytes() < starts[index])) {
      filling.add(index - 1);
    }
    int limit = Math.min(index + MAX_CHUNK_ENTRIES, entries.size());
    int names = 0;
    while (index < limit && names < MAX_CHUNK_NAME_BYTES && filling.canBegin(index)) {
      filling.add(index);
      names += entries.get(index).path().length() * 3; // at most 3 bytes a char
      index++;
    }
    Place after = new Place(filling.position, index);
    return new Plan(place, index, filling.pieces, filling.ends, after);
  }

  /** A chunk that is being planned. */
  private final class Filling {
    private final List<Piece> pieces = new ArrayList<>();
    private final List<Integer> ends = new ArrayList<>();
    private int room;
    private long position;

    Filling(int room, long position) {
      this.room = room;
      this.position = position;
    }

    boolean canBegin(int entry) {
      boolean isNext = position == starts[entry];
      return isNext && (room > 0 || entries.get(entry).size() == 0);
    }

    void add(int entry) {
      long rest = starts[entry + 1] - position;
      int length = (int) Math.min(rest, room);
      if (length > 0) {
        pieces.add(new Piece(entry, position - starts[entry], length));
      }
      if (length == rest && entries.get(entry).kind() == EntryKind.ENTRY_KIND_FILE) {
        ends.add(entry);
      }
      room -= length;
      position += length;
    }
  }
}
