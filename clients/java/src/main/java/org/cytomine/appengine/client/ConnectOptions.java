package org.cytomine.appengine.client;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Where the server is and who calls it. What is null comes from the environment, then from the
 * defaults.
 *
 * @param server {@code HOST:PORT}, {@code http://…} or {@code https://…}; APPENGINE_SERVER, or
 *     127.0.0.1:8080. TLS is used with https, and whenever there is a certificate.
 * @param token goes with every call; APPENGINE_TOKEN, or what APPENGINE_TOKEN_FILE holds
 * @param caFile a PEM file with the authority of the server's certificate; APPENGINE_CA_FILE
 * @param project where tasks and runs are made and looked for; APPENGINE_PROJECT, or the caller's
 *     default one
 */
public record ConnectOptions(String server, String token, Path caFile, String project) {
  private static final String DEFAULT_SERVER = "127.0.0.1:8080";

  /** All from the environment. */
  public static ConnectOptions fromEnvironment() {
    return new ConnectOptions(null, null, null, null);
  }

  /** A server; everything else from the environment. */
  public static ConnectOptions to(String server) {
    return new ConnectOptions(server, null, null, null);
  }

  /** The same with a token. */
  public ConnectOptions withToken(String newToken) {
    return new ConnectOptions(server, newToken, caFile, project);
  }

  /** The same with the authority of the server's certificate. */
  public ConnectOptions withCaFile(Path newCaFile) {
    return new ConnectOptions(server, token, newCaFile, project);
  }

  /** The same with another project. */
  public ConnectOptions withProject(String newProject) {
    return new ConnectOptions(server, token, caFile, newProject);
  }

  /** Everything that is needed to talk to a server. */
  record Settings(String target, boolean usesTls, String token, Path caFile, String project) {
    boolean isLoopback() {
      return target.startsWith("127.") || target.startsWith("localhost") || target.startsWith("[::1]");
    }
  }

  Settings complete() {
    String address = or(server, or(System.getenv("APPENGINE_SERVER"), DEFAULT_SERVER));
    String ca = System.getenv("APPENGINE_CA_FILE");
    Path authority = caFile != null || ca == null || ca.isEmpty() ? caFile : Path.of(ca);
    String scheme = address.contains("://") ? address.substring(0, address.indexOf("://")) : "http";
    String host = address.substring(address.indexOf("://") < 0 ? 0 : address.indexOf("://") + 3);
    host = host.contains("/") ? host.substring(0, host.indexOf('/')) : host;
    boolean usesTls =
        switch (scheme) {
          case "https", "grpcs" -> true;
          case "http", "grpc" -> authority != null;
          default ->
              throw new AppEngineException(
                  "the server address %s has the unknown scheme %s: use HOST:PORT, http://HOST:PORT or https://HOST:PORT"
                      .formatted(address, scheme));
        };
    if (host.isEmpty()) {
      throw new AppEngineException("the server address " + address + " names no host: use HOST:PORT");
    }
    boolean hasPort = host.substring(host.lastIndexOf(']') + 1).contains(":");
    String target = hasPort ? host : host + (scheme.endsWith("s") ? ":443" : ":8080");
    String where = or(project, or(System.getenv("APPENGINE_PROJECT"), ""));
    return new Settings(target, usesTls, completeToken(), authority, where);
  }

  private String completeToken() {
    String given = or(token, or(System.getenv("APPENGINE_TOKEN"), ""));
    String file = System.getenv("APPENGINE_TOKEN_FILE");
    if (given.isEmpty() && file != null && !file.isEmpty()) {
      try {
        given = Files.readString(Path.of(file));
      } catch (IOException error) {
        throw new LocalFileException("the token file " + file + " cannot be read", error);
      }
    }
    given = given.strip();
    if (!given.chars().allMatch(letter -> letter > ' ' && letter <= '~')) {
      throw new AppEngineException("the token must be one word, on one line");
    }
    return given;
  }

  private static String or(String given, String otherwise) {
    return given == null || given.isEmpty() ? otherwise : given;
  }
}
