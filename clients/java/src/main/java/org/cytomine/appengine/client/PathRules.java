package org.cytomine.appengine.client;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.cytomine.appengine.v1.Entry;
import org.cytomine.appengine.v1.EntryKind;

/** Which paths an incoming tree may have. Remembers what is there: needs no file system. */
final class PathRules {
  private static final int MAX_NAME_BYTES = 255;

  private final Map<String, EntryKind> kinds = new HashMap<>();

  /** Whether the entry is new. Throws where it must not be written. */
  boolean admit(Entry entry) {
    String path = entry.getPath();
    if (!Arrays.stream(path.split("/", -1)).allMatch(PathRules::isName)) {
      throw TransferException.broken("the server sent the unsafe path %s", path);
    }
    checkAbove(path);
    boolean isLink = entry.getKind() == EntryKind.ENTRY_KIND_LINK;
    if (isLink && !staysInside(path, entry.getLinkTarget())) {
      throw TransferException.broken(
          "the server sent the link %s, which leads to %s", path, entry.getLinkTarget());
    }
    EntryKind known = kinds.putIfAbsent(path, entry.getKind());
    if (known == null) {
      return true;
    }
    if (known == EntryKind.ENTRY_KIND_FOLDER && entry.getKind() == known) {
      return false;
    }
    throw TransferException.broken("the server sent the path %s twice", path);
  }

  /** Whether a path was admitted, or is above one that was. */
  boolean know(String path) {
    return kinds.containsKey(path);
  }

  /** What is above must be folders; those that were not listed are taken for such. */
  private void checkAbove(String path) {
    for (int slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1)) {
      String above = path.substring(0, slash);
      EntryKind known = kinds.putIfAbsent(above, EntryKind.ENTRY_KIND_FOLDER);
      if (known != null && known != EntryKind.ENTRY_KIND_FOLDER) {
        throw TransferException.broken("the path %s goes through %s, no folder", path, above);
      }
    }
  }

  private static boolean isName(String name) {
    return !name.isEmpty()
        && !name.equals(".")
        && !name.equals("..")
        && name.indexOf('\0') < 0
        && name.getBytes(StandardCharsets.UTF_8).length <= MAX_NAME_BYTES;
  }

  /**
   * Whether a link cannot lead out of the transfer, whatever the other links are. {@code ..} is
   * allowed only in front, and not beyond the top: every link then goes up from a real folder and
   * down again, so that no chain of links gets out.
   */
  static boolean staysInside(String path, String target) {
    if (target.isEmpty() || target.startsWith("/") || target.indexOf('\0') >= 0) {
      return false;
    }
    List<String> parts = List.of(target.split("/", -1));
    int ups = 0;
    while (ups < parts.size() && parts.get(ups).equals("..")) {
      ups++;
    }
    long depth = path.chars().filter(letter -> letter == '/').count();
    return !parts.subList(ups, parts.size()).contains("..") && ups <= depth;
  }
}
