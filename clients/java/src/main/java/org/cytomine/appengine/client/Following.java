package org.cytomine.appengine.client;

import io.grpc.Context;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * The items of a stream that goes on by itself when the connection is cut: none is left out or comes
 * twice. It can be gone through once; closing it ends it early.
 *
 * <pre>{@code
 * try (var changes = client.watch(runId)) {
 *   for (var change : changes) { … }
 * }
 * }</pre>
 */
public final class Following<T> implements Iterable<T>, AutoCloseable {
  // A watch is asked for anew after so long, so that its silence is bounded.
  private static final long LIMIT_MINUTES = 5;
  // How long a server may be away.
  private static final Duration SILENCE = Duration.ofMinutes(5);
  // A stream that stood so long was a good one, though nothing came on it.
  private static final Duration HEALTHY = Duration.ofMinutes(1);

  private final Connection connection;
  private final Supplier<Iterator<T>> open;
  private final Consumer<T> see;
  private final Retries.Patience patience = new Retries.Patience(SILENCE);
  private Context.CancellableContext context;
  private Iterator<T> stream;
  private long opened;

  /**
   * @param open begins behind the last item that was seen
   * @param see is told of each item
   */
  Following(Connection connection, Supplier<Iterator<T>> open, Consumer<T> see) {
    this.connection = connection;
    this.open = open;
    this.see = see;
  }

  @Override
  public Iterator<T> iterator() {
    return new Iterator<>() {
      private T item;
      private boolean isOver;

      @Override
      public boolean hasNext() {
        while (item == null && !isOver) {
          item = read();
          isOver = item == null;
        }
        return item != null;
      }

      @Override
      public T next() {
        if (!hasNext()) {
          throw new NoSuchElementException();
        }
        T given = item;
        item = null;
        return given;
      }
    };
  }

  /** The next item, of the next stream if need be; null at the end. */
  private T read() {
    while (true) {
      try {
        if (stream == null) {
          begin();
        }
        if (!stream.hasNext()) {
          close();
          return null;
        }
        T item = stream.next();
        patience.progressed();
        see.accept(item);
        return item;
      } catch (StatusRuntimeException error) {
        close();
        if (System.nanoTime() - opened > HEALTHY.toNanos()) {
          patience.progressed(); // it stood until our own bound on its silence
        }
        patience.await(connection.translated(error));
        connection.reconnectSoon();
      }
    }
  }

  private void begin() {
    opened = System.nanoTime();
    context =
        Context.current().withDeadlineAfter(LIMIT_MINUTES, TimeUnit.MINUTES, connection.clock());
    Context before = context.attach();
    try {
      stream = open.get();
    } finally {
      context.detach(before);
    }
  }

  /** End the stream. */
  @Override
  public void close() {
    stream = null;
    if (context != null) {
      context.cancel(null);
    }
  }
}
