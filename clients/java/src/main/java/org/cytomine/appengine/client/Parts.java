package org.cytomine.appengine.client;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;
import org.cytomine.appengine.v1.Resource;

/**
 * The folder in a download's target that holds what has come until all is there. One download at a
 * time is in it, by a lock that ends with the process: what is in it while nobody has the lock, a
 * killed one left.
 */
final class Parts implements AutoCloseable {
  private static final String PREFIX = ".appengine-java-";
  private static final int NAME_BYTES = 8;
  // A process may lock a file twice, and loses both locks with one of them.
  private static final Set<Path> TAKEN = ConcurrentHashMap.newKeySet();

  private final Path folder;
  private final FileChannel lock; // null where nobody could go on with it
  private boolean isWorthKeeping;

  private Parts(Path folder, FileChannel lock) {
    this.folder = folder;
    this.lock = lock;
  }

  /** The folder for this resource, or one of a new name where another download is in it. */
  static Parts take(Path target, Resource resource) throws IOException {
    // In the target itself: it may be a mount, and only there a rename is atomic.
    Path real = Files.createDirectories(target).toRealPath();
    Path folder = real.resolve(PREFIX + nameOf(resource) + ".part");
    if (TAKEN.add(folder)) {
      FileChannel lock = null;
      try {
        lock = lockIn(Files.createDirectories(folder));
      } finally {
        if (lock == null) {
          TAKEN.remove(folder);
        }
      }
      if (lock != null) {
        return new Parts(folder, lock);
      }
    }
    return new Parts(Files.createTempDirectory(real, PREFIX), null);
  }

  private static String nameOf(Resource resource) {
    try {
      byte[] digest = MessageDigest.getInstance("SHA-256").digest(resource.toByteArray());
      return HexFormat.of().formatHex(digest, 0, NAME_BYTES);
    } catch (NoSuchAlgorithmException error) {
      throw new IllegalStateException("every Java has SHA-256", error);
    }
  }

  /** Null where another process has the lock, or has just removed it. */
  private static FileChannel lockIn(Path folder) throws IOException {
    Path path = folder.resolve("lock");
    try {
      Files.createFile(path);
    } catch (FileAlreadyExistsException known) {
      // a killed process left it, or one is there
    }
    Object before = keyOf(path);
    FileChannel channel = FileChannel.open(path, StandardOpenOption.WRITE);
    FileLock lock = channel.tryLock();
    if (lock != null && Files.exists(path) && Objects.equals(before, keyOf(path))) {
      return channel;
    }
    channel.close();
    return null;
  }

  private static Object keyOf(Path path) throws IOException {
    return Files.readAttributes(path, BasicFileAttributes.class).fileKey();
  }

  /** Whether a later process may find what is there. */
  boolean canBeKept() {
    return lock != null;
  }

  void keep() {
    isWorthKeeping = canBeKept();
  }

  /** What has come. */
  Path fresh() {
    return folder.resolve("new");
  }

  /** What was replaced in the target. */
  Path old() {
    return folder.resolve("old");
  }

  Path notes() {
    return folder.resolve("notes");
  }

  /** Begin anew. */
  void clear() throws IOException {
    remove(fresh());
    remove(old());
    Files.deleteIfExists(notes());
    Files.createDirectory(fresh());
    Files.createDirectory(old());
  }

  /** Let others in, for whom the parts are kept, or else removed. */
  @Override
  public void close() {
    try {
      if (!isWorthKeeping) {
        remove(folder);
      }
      if (lock != null) {
        lock.close();
      }
    } catch (IOException error) {
      throw new LocalFileException("the folder " + folder + " cannot be removed", error);
    } finally {
      if (lock != null) {
        TAKEN.remove(folder);
      }
    }
  }

  static void remove(Path folder) throws IOException {
    if (!Files.exists(folder)) {
      return;
    }
    try (Stream<Path> all = Files.walk(folder)) {
      for (Path one : all.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(one);
      }
    }
  }
}
