package org.cytomine.appengine.client;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ClientInterceptors;
import io.grpc.Context;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.AbstractStub;
import java.io.IOException;
import java.time.Duration;
import java.util.UUID;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/** One channel to one server, and the ways in which calls are made over it. */
final class Connection implements AutoCloseable {
  static final int MIB = 1 << 20;

  private static final int MAX_MESSAGE_BYTES = 4 * MIB;
  // What the server may send ahead of us: 80 MiB/s over a line with 0.1 s of round trip.
  private static final int WINDOW_BYTES = 8 * MIB;
  private static final int TRIES = 4;
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  private final ConnectOptions.Settings settings;
  private final ManagedChannel managed;
  private final Channel channel;
  private final ScheduledExecutorService clock =
      Executors.newSingleThreadScheduledExecutor(Connection::daemon);
  private final ExecutorService readers = Executors.newCachedThreadPool(Connection::daemon);
  private volatile boolean wasReached;

  Connection(ConnectOptions.Settings settings) {
    this.settings = settings;
    NettyChannelBuilder builder =
        NettyChannelBuilder.forTarget("dns:///" + settings.target(), credentials(settings))
            .maxInboundMessageSize(MAX_MESSAGE_BYTES)
            .flowControlWindow(WINDOW_BYTES)
            .keepAliveTime(30, TimeUnit.SECONDS)
            .keepAliveTimeout(10, TimeUnit.SECONDS);
    if (settings.isLoopback()) {
      // A proxy that is set for the web must not come between two programs on one machine.
      builder.proxyDetector(address -> null);
    }
    managed = builder.build();
    channel = ClientInterceptors.intercept(managed, new Identifying(settings.token()));
  }

  private static ChannelCredentials credentials(ConnectOptions.Settings settings) {
    if (!settings.usesTls()) {
      return InsecureChannelCredentials.create();
    }
    TlsChannelCredentials.Builder builder = TlsChannelCredentials.newBuilder();
    if (settings.caFile() != null) {
      try {
        builder.trustManager(settings.caFile().toFile());
      } catch (IOException error) {
        throw new LocalFileException("the CA certificate " + settings.caFile() + " cannot be read", error);
      }
    }
    return builder.build();
  }

  private static Thread daemon(Runnable work) {
    Thread thread = new Thread(work, "appengine-client");
    thread.setDaemon(true);
    return thread;
  }

  Channel channel() {
    return channel;
  }

  ConnectOptions.Settings settings() {
    return settings;
  }

  static String newId() {
    return UUID.randomUUID().toString();
  }

  /**
   * Make one unary call, with retries. Every call has a request id or may be repeated, so a second
   * try does no harm.
   */
  <S extends AbstractStub<S>, T> T call(S stub, Duration limit, Function<S, T> call) {
    long deadline = System.nanoTime() + limit.toNanos();
    int most = wasReached ? 1000 : TRIES; // it may be about to start again: only the time counts
    for (int failures = 1; ; failures++) {
      ServerException refusal;
      try {
        long left = Math.max(deadline - System.nanoTime(), TimeUnit.MILLISECONDS.toNanos(100));
        T answer = call.apply(stub.withDeadlineAfter(left, TimeUnit.NANOSECONDS));
        wasReached = true;
        return answer;
      } catch (StatusRuntimeException error) {
        refusal = translated(error);
      }
      Duration pause = Retries.pauseAfter(failures, refusal);
      boolean isLate = System.nanoTime() + pause.toNanos() > deadline;
      if (failures >= most || isLate || !refusal.isWorthAnotherTry(failures)) {
        throw refusal;
      }
      Retries.sleep(pause);
      reconnectSoon();
    }
  }

  ServerException translated(StatusRuntimeException error) {
    if (error.getCause() instanceof ServerException ours) { // a stream on which nothing moved
      return ours;
    }
    return Statuses.translated(error, settings.target());
  }

  /** gRPC's own pause grows to two minutes; ours is at most 5 s, and asks again then. */
  void reconnectSoon() {
    managed.resetConnectBackoff();
  }

  ServerException silence(Duration limit) {
    return new ServerException(
        "the server %s moved nothing for %d seconds".formatted(settings.target(), limit.toSeconds()),
        ServerException.Details.of(Status.Code.UNAVAILABLE));
  }

  /** For deadlines. */
  ScheduledExecutorService clock() {
    return clock;
  }

  /** The threads in which files are read and written while bytes travel. */
  Executor readers() {
    return readers;
  }

  /** A context for one stream, which ends it when nothing moves. */
  Watchdog watchdog(Duration limit) {
    return new Watchdog(Context.current().withCancellation(), limit);
  }

  /** Ends a stream on which nothing moves for too long. */
  final class Watchdog implements AutoCloseable {
    private final Context.CancellableContext context;
    private volatile long deadline;
    private volatile Duration limit;
    private volatile boolean isClosed;

    private Watchdog(Context.CancellableContext context, Duration limit) {
      this.context = context;
      moved(limit);
      look();
    }

    Context context() {
      return context;
    }

    /** Something moved: it may be still for so long from now on. */
    void moved(Duration newLimit) {
      limit = newLimit;
      deadline = System.nanoTime() + newLimit.toNanos();
    }

    private void look() {
      long left = deadline - System.nanoTime();
      if (isClosed) {
        return;
      }
      if (left <= 0) {
        context.cancel(silence(limit));
      } else {
        clock.schedule(this::look, Math.min(left, TimeUnit.SECONDS.toNanos(1)), TimeUnit.NANOSECONDS);
      }
    }

    @Override
    public void close() {
      isClosed = true;
      context.cancel(null);
    }
  }

  @Override
  public void close() {
    clock.shutdownNow();
    readers.shutdownNow();
    managed.shutdownNow();
  }

  /** Adds who calls, and an id for the logs. */
  private record Identifying(String token) implements ClientInterceptor {
    @Override
    public <Q, A> ClientCall<Q, A> interceptCall(
        MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
      return new SimpleForwardingClientCall<>(next.newCall(method, options)) {
        @Override
        public void start(Listener<A> listener, Metadata headers) {
          if (!token.isEmpty()) {
            headers.put(AUTHORIZATION, "Bearer " + token);
          }
          headers.put(Statuses.REQUEST_ID, newId());
          super.start(listener, headers);
        }
      };
    }
  }
}
