package org.cytomine.appengine.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * StorageService moves bytes: bundles and inputs in, inputs and outputs out. Transfers in both
 * directions go on where they stopped, and every byte is checked.
 * Every RPC may also answer UNAUTHENTICATED, UNAVAILABLE, DEADLINE_EXCEEDED and INTERNAL, and
 * NOT_FOUND for what belongs to a project of others, as TaskService says.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class StorageServiceGrpc {

  private StorageServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "appengine.v1.StorageService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.GetCapabilitiesRequest,
      org.cytomine.appengine.v1.GetCapabilitiesResponse> getGetCapabilitiesMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetCapabilities",
      requestType = org.cytomine.appengine.v1.GetCapabilitiesRequest.class,
      responseType = org.cytomine.appengine.v1.GetCapabilitiesResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.GetCapabilitiesRequest,
      org.cytomine.appengine.v1.GetCapabilitiesResponse> getGetCapabilitiesMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.GetCapabilitiesRequest, org.cytomine.appengine.v1.GetCapabilitiesResponse> getGetCapabilitiesMethod;
    if ((getGetCapabilitiesMethod = StorageServiceGrpc.getGetCapabilitiesMethod) == null) {
      synchronized (StorageServiceGrpc.class) {
        if ((getGetCapabilitiesMethod = StorageServiceGrpc.getGetCapabilitiesMethod) == null) {
          StorageServiceGrpc.getGetCapabilitiesMethod = getGetCapabilitiesMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.GetCapabilitiesRequest, org.cytomine.appengine.v1.GetCapabilitiesResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetCapabilities"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.GetCapabilitiesRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.GetCapabilitiesResponse.getDefaultInstance()))
              .setSchemaDescriptor(new StorageServiceMethodDescriptorSupplier("GetCapabilities"))
              .build();
        }
      }
    }
    return getGetCapabilitiesMethod;
  }

  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.StartUploadRequest,
      org.cytomine.appengine.v1.StartUploadResponse> getStartUploadMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "StartUpload",
      requestType = org.cytomine.appengine.v1.StartUploadRequest.class,
      responseType = org.cytomine.appengine.v1.StartUploadResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.StartUploadRequest,
      org.cytomine.appengine.v1.StartUploadResponse> getStartUploadMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.StartUploadRequest, org.cytomine.appengine.v1.StartUploadResponse> getStartUploadMethod;
    if ((getStartUploadMethod = StorageServiceGrpc.getStartUploadMethod) == null) {
      synchronized (StorageServiceGrpc.class) {
        if ((getStartUploadMethod = StorageServiceGrpc.getStartUploadMethod) == null) {
          StorageServiceGrpc.getStartUploadMethod = getStartUploadMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.StartUploadRequest, org.cytomine.appengine.v1.StartUploadResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "StartUpload"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.StartUploadRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.StartUploadResponse.getDefaultInstance()))
              .setSchemaDescriptor(new StorageServiceMethodDescriptorSupplier("StartUpload"))
              .build();
        }
      }
    }
    return getStartUploadMethod;
  }

  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.UploadRequest,
      org.cytomine.appengine.v1.UploadResponse> getUploadMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Upload",
      requestType = org.cytomine.appengine.v1.UploadRequest.class,
      responseType = org.cytomine.appengine.v1.UploadResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.CLIENT_STREAMING)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.UploadRequest,
      org.cytomine.appengine.v1.UploadResponse> getUploadMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.UploadRequest, org.cytomine.appengine.v1.UploadResponse> getUploadMethod;
    if ((getUploadMethod = StorageServiceGrpc.getUploadMethod) == null) {
      synchronized (StorageServiceGrpc.class) {
        if ((getUploadMethod = StorageServiceGrpc.getUploadMethod) == null) {
          StorageServiceGrpc.getUploadMethod = getUploadMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.UploadRequest, org.cytomine.appengine.v1.UploadResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.CLIENT_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Upload"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.UploadRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.UploadResponse.getDefaultInstance()))
              .setSchemaDescriptor(new StorageServiceMethodDescriptorSupplier("Upload"))
              .build();
        }
      }
    }
    return getUploadMethod;
  }

  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.GetUploadRequest,
      org.cytomine.appengine.v1.GetUploadResponse> getGetUploadMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetUpload",
      requestType = org.cytomine.appengine.v1.GetUploadRequest.class,
      responseType = org.cytomine.appengine.v1.GetUploadResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.GetUploadRequest,
      org.cytomine.appengine.v1.GetUploadResponse> getGetUploadMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.GetUploadRequest, org.cytomine.appengine.v1.GetUploadResponse> getGetUploadMethod;
    if ((getGetUploadMethod = StorageServiceGrpc.getGetUploadMethod) == null) {
      synchronized (StorageServiceGrpc.class) {
        if ((getGetUploadMethod = StorageServiceGrpc.getGetUploadMethod) == null) {
          StorageServiceGrpc.getGetUploadMethod = getGetUploadMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.GetUploadRequest, org.cytomine.appengine.v1.GetUploadResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetUpload"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.GetUploadRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.GetUploadResponse.getDefaultInstance()))
              .setSchemaDescriptor(new StorageServiceMethodDescriptorSupplier("GetUpload"))
              .build();
        }
      }
    }
    return getGetUploadMethod;
  }

  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.CancelUploadRequest,
      org.cytomine.appengine.v1.CancelUploadResponse> getCancelUploadMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CancelUpload",
      requestType = org.cytomine.appengine.v1.CancelUploadRequest.class,
      responseType = org.cytomine.appengine.v1.CancelUploadResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.CancelUploadRequest,
      org.cytomine.appengine.v1.CancelUploadResponse> getCancelUploadMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.CancelUploadRequest, org.cytomine.appengine.v1.CancelUploadResponse> getCancelUploadMethod;
    if ((getCancelUploadMethod = StorageServiceGrpc.getCancelUploadMethod) == null) {
      synchronized (StorageServiceGrpc.class) {
        if ((getCancelUploadMethod = StorageServiceGrpc.getCancelUploadMethod) == null) {
          StorageServiceGrpc.getCancelUploadMethod = getCancelUploadMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.CancelUploadRequest, org.cytomine.appengine.v1.CancelUploadResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CancelUpload"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.CancelUploadRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.CancelUploadResponse.getDefaultInstance()))
              .setSchemaDescriptor(new StorageServiceMethodDescriptorSupplier("CancelUpload"))
              .build();
        }
      }
    }
    return getCancelUploadMethod;
  }

  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.ListFilesRequest,
      org.cytomine.appengine.v1.ListFilesResponse> getListFilesMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListFiles",
      requestType = org.cytomine.appengine.v1.ListFilesRequest.class,
      responseType = org.cytomine.appengine.v1.ListFilesResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.ListFilesRequest,
      org.cytomine.appengine.v1.ListFilesResponse> getListFilesMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.ListFilesRequest, org.cytomine.appengine.v1.ListFilesResponse> getListFilesMethod;
    if ((getListFilesMethod = StorageServiceGrpc.getListFilesMethod) == null) {
      synchronized (StorageServiceGrpc.class) {
        if ((getListFilesMethod = StorageServiceGrpc.getListFilesMethod) == null) {
          StorageServiceGrpc.getListFilesMethod = getListFilesMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.ListFilesRequest, org.cytomine.appengine.v1.ListFilesResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListFiles"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.ListFilesRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.ListFilesResponse.getDefaultInstance()))
              .setSchemaDescriptor(new StorageServiceMethodDescriptorSupplier("ListFiles"))
              .build();
        }
      }
    }
    return getListFilesMethod;
  }

  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.DownloadRequest,
      org.cytomine.appengine.v1.DownloadResponse> getDownloadMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Download",
      requestType = org.cytomine.appengine.v1.DownloadRequest.class,
      responseType = org.cytomine.appengine.v1.DownloadResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.DownloadRequest,
      org.cytomine.appengine.v1.DownloadResponse> getDownloadMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.DownloadRequest, org.cytomine.appengine.v1.DownloadResponse> getDownloadMethod;
    if ((getDownloadMethod = StorageServiceGrpc.getDownloadMethod) == null) {
      synchronized (StorageServiceGrpc.class) {
        if ((getDownloadMethod = StorageServiceGrpc.getDownloadMethod) == null) {
          StorageServiceGrpc.getDownloadMethod = getDownloadMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.DownloadRequest, org.cytomine.appengine.v1.DownloadResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Download"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.DownloadRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.DownloadResponse.getDefaultInstance()))
              .setSchemaDescriptor(new StorageServiceMethodDescriptorSupplier("Download"))
              .build();
        }
      }
    }
    return getDownloadMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static StorageServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<StorageServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<StorageServiceStub>() {
        @java.lang.Override
        public StorageServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new StorageServiceStub(channel, callOptions);
        }
      };
    return StorageServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static StorageServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<StorageServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<StorageServiceBlockingV2Stub>() {
        @java.lang.Override
        public StorageServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new StorageServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return StorageServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static StorageServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<StorageServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<StorageServiceBlockingStub>() {
        @java.lang.Override
        public StorageServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new StorageServiceBlockingStub(channel, callOptions);
        }
      };
    return StorageServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static StorageServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<StorageServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<StorageServiceFutureStub>() {
        @java.lang.Override
        public StorageServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new StorageServiceFutureStub(channel, callOptions);
        }
      };
    return StorageServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * StorageService moves bytes: bundles and inputs in, inputs and outputs out. Transfers in both
   * directions go on where they stopped, and every byte is checked.
   * Every RPC may also answer UNAUTHENTICATED, UNAVAILABLE, DEADLINE_EXCEEDED and INTERNAL, and
   * NOT_FOUND for what belongs to a project of others, as TaskService says.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * GetCapabilities answers the limits of this server.
     * </pre>
     */
    default void getCapabilities(org.cytomine.appengine.v1.GetCapabilitiesRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.GetCapabilitiesResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetCapabilitiesMethod(), responseObserver);
    }

    /**
     * <pre>
     * StartUpload opens an upload.
     * INVALID_ARGUMENT: the target is incomplete, or the parameter cannot be uploaded. NOT_FOUND: no
     * such run. PERMISSION_DENIED: the caller may not change this project. FAILED_PRECONDITION
     * (RUN_STATE): the run was started. ABORTED (REQUEST_ID_REUSED): the `request_id` was used for
     * another request. RESOURCE_EXHAUSTED: the upload is larger than allowed (UPLOAD_TOO_LARGE), than the
     * free disk (DISK_LOW), or than what quotas leave (QUOTA_PROJECT, QUOTA_STORAGE).
     * </pre>
     */
    default void startUpload(org.cytomine.appengine.v1.StartUploadRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.StartUploadResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getStartUploadMethod(), responseObserver);
    }

    /**
     * <pre>
     * Upload sends the bytes. The first message has `upload_id` and `writer_id`, the last one `finish`.
     * Closing the stream without `finish` keeps what was received, for later. Finishing an upload to an
     * input checks the value and provisions it. Finishing twice is OK with the same result.
     * INVALID_ARGUMENT: an entry is not allowed (path, link, kind), a checksum or digest of a file does
     * not match its bytes, or the value is not valid for the parameter: nothing is kept. OUT_OF_RANGE
     * (UPLOAD_PLACE): the chunk lies beyond the persisted place: ask GetUpload and go on from there.
     * ABORTED (CHUNK_CORRUPT): a chunk's crc32c does not match: resume. ABORTED (UPLOAD_TAKEN): another
     * writer took over: stop one of the two. ABORTED (UPLOAD_STALLED): nothing came for too long: resume.
     * NOT_FOUND: no such upload, or it expired: start again.
     * FAILED_PRECONDITION: the run was started, or the upload was cancelled. RESOURCE_EXHAUSTED: too
     * many bytes or entries (UPLOAD_TOO_LARGE), the disk is full (DISK_LOW), or the uploads of the
     * project or of all hold too much (QUOTA_PROJECT, QUOTA_STORAGE); what came is kept: resume once
     * there is room.
     * </pre>
     */
    default io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.UploadRequest> upload(
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.UploadResponse> responseObserver) {
      return io.grpc.stub.ServerCalls.asyncUnimplementedStreamingCall(getUploadMethod(), responseObserver);
    }

    /**
     * <pre>
     * GetUpload answers how far an upload is: what survives a crash of the server. It never shrinks.
     * NOT_FOUND: no such upload, or it expired.
     * </pre>
     */
    default void getUpload(org.cytomine.appengine.v1.GetUploadRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.GetUploadResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetUploadMethod(), responseObserver);
    }

    /**
     * <pre>
     * CancelUpload drops an upload with its bytes. Cancelling twice is OK. NOT_FOUND: no such upload.
     * FAILED_PRECONDITION: it is finished.
     * </pre>
     */
    default void cancelUpload(org.cytomine.appengine.v1.CancelUploadRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.CancelUploadResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCancelUploadMethod(), responseObserver);
    }

    /**
     * <pre>
     * ListFiles answers the files and folders of a resource, in the order of a download, page by page.
     * NOT_FOUND: no such run, attempt or path. INVALID_ARGUMENT: a path that is not allowed, or a page
     * token of another query.
     * </pre>
     */
    default void listFiles(org.cytomine.appengine.v1.ListFilesRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.ListFilesResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListFilesMethod(), responseObserver);
    }

    /**
     * <pre>
     * Download sends a file or a tree, in a fixed order. To go on after a cut, send the place that was
     * reached and the etag.
     * NOT_FOUND: no such run, attempt or path. INVALID_ARGUMENT: a path that is not allowed.
     * OUT_OF_RANGE: the place or range lies beyond the end. FAILED_PRECONDITION (ETAG): the content is
     * no longer that of the etag: start again. FAILED_PRECONDITION (RUN_STATE): the run has no outputs
     * yet. DATA_LOSS: stored bytes do not match their checksum.
     * </pre>
     */
    default void download(org.cytomine.appengine.v1.DownloadRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.DownloadResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getDownloadMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service StorageService.
   * <pre>
   * StorageService moves bytes: bundles and inputs in, inputs and outputs out. Transfers in both
   * directions go on where they stopped, and every byte is checked.
   * Every RPC may also answer UNAUTHENTICATED, UNAVAILABLE, DEADLINE_EXCEEDED and INTERNAL, and
   * NOT_FOUND for what belongs to a project of others, as TaskService says.
   * </pre>
   */
  public static abstract class StorageServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return StorageServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service StorageService.
   * <pre>
   * StorageService moves bytes: bundles and inputs in, inputs and outputs out. Transfers in both
   * directions go on where they stopped, and every byte is checked.
   * Every RPC may also answer UNAUTHENTICATED, UNAVAILABLE, DEADLINE_EXCEEDED and INTERNAL, and
   * NOT_FOUND for what belongs to a project of others, as TaskService says.
   * </pre>
   */
  public static final class StorageServiceStub
      extends io.grpc.stub.AbstractAsyncStub<StorageServiceStub> {
    private StorageServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected StorageServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new StorageServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * GetCapabilities answers the limits of this server.
     * </pre>
     */
    public void getCapabilities(org.cytomine.appengine.v1.GetCapabilitiesRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.GetCapabilitiesResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetCapabilitiesMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * StartUpload opens an upload.
     * INVALID_ARGUMENT: the target is incomplete, or the parameter cannot be uploaded. NOT_FOUND: no
     * such run. PERMISSION_DENIED: the caller may not change this project. FAILED_PRECONDITION
     * (RUN_STATE): the run was started. ABORTED (REQUEST_ID_REUSED): the `request_id` was used for
     * another request. RESOURCE_EXHAUSTED: the upload is larger than allowed (UPLOAD_TOO_LARGE), than the
     * free disk (DISK_LOW), or than what quotas leave (QUOTA_PROJECT, QUOTA_STORAGE).
     * </pre>
     */
    public void startUpload(org.cytomine.appengine.v1.StartUploadRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.StartUploadResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getStartUploadMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Upload sends the bytes. The first message has `upload_id` and `writer_id`, the last one `finish`.
     * Closing the stream without `finish` keeps what was received, for later. Finishing an upload to an
     * input checks the value and provisions it. Finishing twice is OK with the same result.
     * INVALID_ARGUMENT: an entry is not allowed (path, link, kind), a checksum or digest of a file does
     * not match its bytes, or the value is not valid for the parameter: nothing is kept. OUT_OF_RANGE
     * (UPLOAD_PLACE): the chunk lies beyond the persisted place: ask GetUpload and go on from there.
     * ABORTED (CHUNK_CORRUPT): a chunk's crc32c does not match: resume. ABORTED (UPLOAD_TAKEN): another
     * writer took over: stop one of the two. ABORTED (UPLOAD_STALLED): nothing came for too long: resume.
     * NOT_FOUND: no such upload, or it expired: start again.
     * FAILED_PRECONDITION: the run was started, or the upload was cancelled. RESOURCE_EXHAUSTED: too
     * many bytes or entries (UPLOAD_TOO_LARGE), the disk is full (DISK_LOW), or the uploads of the
     * project or of all hold too much (QUOTA_PROJECT, QUOTA_STORAGE); what came is kept: resume once
     * there is room.
     * </pre>
     */
    public io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.UploadRequest> upload(
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.UploadResponse> responseObserver) {
      return io.grpc.stub.ClientCalls.asyncClientStreamingCall(
          getChannel().newCall(getUploadMethod(), getCallOptions()), responseObserver);
    }

    /**
     * <pre>
     * GetUpload answers how far an upload is: what survives a crash of the server. It never shrinks.
     * NOT_FOUND: no such upload, or it expired.
     * </pre>
     */
    public void getUpload(org.cytomine.appengine.v1.GetUploadRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.GetUploadResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetUploadMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * CancelUpload drops an upload with its bytes. Cancelling twice is OK. NOT_FOUND: no such upload.
     * FAILED_PRECONDITION: it is finished.
     * </pre>
     */
    public void cancelUpload(org.cytomine.appengine.v1.CancelUploadRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.CancelUploadResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCancelUploadMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * ListFiles answers the files and folders of a resource, in the order of a download, page by page.
     * NOT_FOUND: no such run, attempt or path. INVALID_ARGUMENT: a path that is not allowed, or a page
     * token of another query.
     * </pre>
     */
    public void listFiles(org.cytomine.appengine.v1.ListFilesRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.ListFilesResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListFilesMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Download sends a file or a tree, in a fixed order. To go on after a cut, send the place that was
     * reached and the etag.
     * NOT_FOUND: no such run, attempt or path. INVALID_ARGUMENT: a path that is not allowed.
     * OUT_OF_RANGE: the place or range lies beyond the end. FAILED_PRECONDITION (ETAG): the content is
     * no longer that of the etag: start again. FAILED_PRECONDITION (RUN_STATE): the run has no outputs
     * yet. DATA_LOSS: stored bytes do not match their checksum.
     * </pre>
     */
    public void download(org.cytomine.appengine.v1.DownloadRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.DownloadResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getDownloadMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service StorageService.
   * <pre>
   * StorageService moves bytes: bundles and inputs in, inputs and outputs out. Transfers in both
   * directions go on where they stopped, and every byte is checked.
   * Every RPC may also answer UNAUTHENTICATED, UNAVAILABLE, DEADLINE_EXCEEDED and INTERNAL, and
   * NOT_FOUND for what belongs to a project of others, as TaskService says.
   * </pre>
   */
  public static final class StorageServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<StorageServiceBlockingV2Stub> {
    private StorageServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected StorageServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new StorageServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * GetCapabilities answers the limits of this server.
     * </pre>
     */
    public org.cytomine.appengine.v1.GetCapabilitiesResponse getCapabilities(org.cytomine.appengine.v1.GetCapabilitiesRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetCapabilitiesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * StartUpload opens an upload.
     * INVALID_ARGUMENT: the target is incomplete, or the parameter cannot be uploaded. NOT_FOUND: no
     * such run. PERMISSION_DENIED: the caller may not change this project. FAILED_PRECONDITION
     * (RUN_STATE): the run was started. ABORTED (REQUEST_ID_REUSED): the `request_id` was used for
     * another request. RESOURCE_EXHAUSTED: the upload is larger than allowed (UPLOAD_TOO_LARGE), than the
     * free disk (DISK_LOW), or than what quotas leave (QUOTA_PROJECT, QUOTA_STORAGE).
     * </pre>
     */
    public org.cytomine.appengine.v1.StartUploadResponse startUpload(org.cytomine.appengine.v1.StartUploadRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getStartUploadMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Upload sends the bytes. The first message has `upload_id` and `writer_id`, the last one `finish`.
     * Closing the stream without `finish` keeps what was received, for later. Finishing an upload to an
     * input checks the value and provisions it. Finishing twice is OK with the same result.
     * INVALID_ARGUMENT: an entry is not allowed (path, link, kind), a checksum or digest of a file does
     * not match its bytes, or the value is not valid for the parameter: nothing is kept. OUT_OF_RANGE
     * (UPLOAD_PLACE): the chunk lies beyond the persisted place: ask GetUpload and go on from there.
     * ABORTED (CHUNK_CORRUPT): a chunk's crc32c does not match: resume. ABORTED (UPLOAD_TAKEN): another
     * writer took over: stop one of the two. ABORTED (UPLOAD_STALLED): nothing came for too long: resume.
     * NOT_FOUND: no such upload, or it expired: start again.
     * FAILED_PRECONDITION: the run was started, or the upload was cancelled. RESOURCE_EXHAUSTED: too
     * many bytes or entries (UPLOAD_TOO_LARGE), the disk is full (DISK_LOW), or the uploads of the
     * project or of all hold too much (QUOTA_PROJECT, QUOTA_STORAGE); what came is kept: resume once
     * there is room.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<org.cytomine.appengine.v1.UploadRequest, org.cytomine.appengine.v1.UploadResponse>
        upload() {
      return io.grpc.stub.ClientCalls.blockingClientStreamingCall(
          getChannel(), getUploadMethod(), getCallOptions());
    }

    /**
     * <pre>
     * GetUpload answers how far an upload is: what survives a crash of the server. It never shrinks.
     * NOT_FOUND: no such upload, or it expired.
     * </pre>
     */
    public org.cytomine.appengine.v1.GetUploadResponse getUpload(org.cytomine.appengine.v1.GetUploadRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetUploadMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * CancelUpload drops an upload with its bytes. Cancelling twice is OK. NOT_FOUND: no such upload.
     * FAILED_PRECONDITION: it is finished.
     * </pre>
     */
    public org.cytomine.appengine.v1.CancelUploadResponse cancelUpload(org.cytomine.appengine.v1.CancelUploadRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCancelUploadMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * ListFiles answers the files and folders of a resource, in the order of a download, page by page.
     * NOT_FOUND: no such run, attempt or path. INVALID_ARGUMENT: a path that is not allowed, or a page
     * token of another query.
     * </pre>
     */
    public org.cytomine.appengine.v1.ListFilesResponse listFiles(org.cytomine.appengine.v1.ListFilesRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListFilesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Download sends a file or a tree, in a fixed order. To go on after a cut, send the place that was
     * reached and the etag.
     * NOT_FOUND: no such run, attempt or path. INVALID_ARGUMENT: a path that is not allowed.
     * OUT_OF_RANGE: the place or range lies beyond the end. FAILED_PRECONDITION (ETAG): the content is
     * no longer that of the etag: start again. FAILED_PRECONDITION (RUN_STATE): the run has no outputs
     * yet. DATA_LOSS: stored bytes do not match their checksum.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, org.cytomine.appengine.v1.DownloadResponse>
        download(org.cytomine.appengine.v1.DownloadRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getDownloadMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service StorageService.
   * <pre>
   * StorageService moves bytes: bundles and inputs in, inputs and outputs out. Transfers in both
   * directions go on where they stopped, and every byte is checked.
   * Every RPC may also answer UNAUTHENTICATED, UNAVAILABLE, DEADLINE_EXCEEDED and INTERNAL, and
   * NOT_FOUND for what belongs to a project of others, as TaskService says.
   * </pre>
   */
  public static final class StorageServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<StorageServiceBlockingStub> {
    private StorageServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected StorageServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new StorageServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * GetCapabilities answers the limits of this server.
     * </pre>
     */
    public org.cytomine.appengine.v1.GetCapabilitiesResponse getCapabilities(org.cytomine.appengine.v1.GetCapabilitiesRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetCapabilitiesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * StartUpload opens an upload.
     * INVALID_ARGUMENT: the target is incomplete, or the parameter cannot be uploaded. NOT_FOUND: no
     * such run. PERMISSION_DENIED: the caller may not change this project. FAILED_PRECONDITION
     * (RUN_STATE): the run was started. ABORTED (REQUEST_ID_REUSED): the `request_id` was used for
     * another request. RESOURCE_EXHAUSTED: the upload is larger than allowed (UPLOAD_TOO_LARGE), than the
     * free disk (DISK_LOW), or than what quotas leave (QUOTA_PROJECT, QUOTA_STORAGE).
     * </pre>
     */
    public org.cytomine.appengine.v1.StartUploadResponse startUpload(org.cytomine.appengine.v1.StartUploadRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getStartUploadMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * GetUpload answers how far an upload is: what survives a crash of the server. It never shrinks.
     * NOT_FOUND: no such upload, or it expired.
     * </pre>
     */
    public org.cytomine.appengine.v1.GetUploadResponse getUpload(org.cytomine.appengine.v1.GetUploadRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetUploadMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * CancelUpload drops an upload with its bytes. Cancelling twice is OK. NOT_FOUND: no such upload.
     * FAILED_PRECONDITION: it is finished.
     * </pre>
     */
    public org.cytomine.appengine.v1.CancelUploadResponse cancelUpload(org.cytomine.appengine.v1.CancelUploadRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCancelUploadMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * ListFiles answers the files and folders of a resource, in the order of a download, page by page.
     * NOT_FOUND: no such run, attempt or path. INVALID_ARGUMENT: a path that is not allowed, or a page
     * token of another query.
     * </pre>
     */
    public org.cytomine.appengine.v1.ListFilesResponse listFiles(org.cytomine.appengine.v1.ListFilesRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListFilesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Download sends a file or a tree, in a fixed order. To go on after a cut, send the place that was
     * reached and the etag.
     * NOT_FOUND: no such run, attempt or path. INVALID_ARGUMENT: a path that is not allowed.
     * OUT_OF_RANGE: the place or range lies beyond the end. FAILED_PRECONDITION (ETAG): the content is
     * no longer that of the etag: start again. FAILED_PRECONDITION (RUN_STATE): the run has no outputs
     * yet. DATA_LOSS: stored bytes do not match their checksum.
     * </pre>
     */
    public java.util.Iterator<org.cytomine.appengine.v1.DownloadResponse> download(
        org.cytomine.appengine.v1.DownloadRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getDownloadMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service StorageService.
   * <pre>
   * StorageService moves bytes: bundles and inputs in, inputs and outputs out. Transfers in both
   * directions go on where they stopped, and every byte is checked.
   * Every RPC may also answer UNAUTHENTICATED, UNAVAILABLE, DEADLINE_EXCEEDED and INTERNAL, and
   * NOT_FOUND for what belongs to a project of others, as TaskService says.
   * </pre>
   */
  public static final class StorageServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<StorageServiceFutureStub> {
    private StorageServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected StorageServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new StorageServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * GetCapabilities answers the limits of this server.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<org.cytomine.appengine.v1.GetCapabilitiesResponse> getCapabilities(
        org.cytomine.appengine.v1.GetCapabilitiesRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetCapabilitiesMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * StartUpload opens an upload.
     * INVALID_ARGUMENT: the target is incomplete, or the parameter cannot be uploaded. NOT_FOUND: no
     * such run. PERMISSION_DENIED: the caller may not change this project. FAILED_PRECONDITION
     * (RUN_STATE): the run was started. ABORTED (REQUEST_ID_REUSED): the `request_id` was used for
     * another request. RESOURCE_EXHAUSTED: the upload is larger than allowed (UPLOAD_TOO_LARGE), than the
     * free disk (DISK_LOW), or than what quotas leave (QUOTA_PROJECT, QUOTA_STORAGE).
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<org.cytomine.appengine.v1.StartUploadResponse> startUpload(
        org.cytomine.appengine.v1.StartUploadRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getStartUploadMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * GetUpload answers how far an upload is: what survives a crash of the server. It never shrinks.
     * NOT_FOUND: no such upload, or it expired.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<org.cytomine.appengine.v1.GetUploadResponse> getUpload(
        org.cytomine.appengine.v1.GetUploadRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetUploadMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * CancelUpload drops an upload with its bytes. Cancelling twice is OK. NOT_FOUND: no such upload.
     * FAILED_PRECONDITION: it is finished.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<org.cytomine.appengine.v1.CancelUploadResponse> cancelUpload(
        org.cytomine.appengine.v1.CancelUploadRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCancelUploadMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * ListFiles answers the files and folders of a resource, in the order of a download, page by page.
     * NOT_FOUND: no such run, attempt or path. INVALID_ARGUMENT: a path that is not allowed, or a page
     * token of another query.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<org.cytomine.appengine.v1.ListFilesResponse> listFiles(
        org.cytomine.appengine.v1.ListFilesRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListFilesMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_GET_CAPABILITIES = 0;
  private static final int METHODID_START_UPLOAD = 1;
  private static final int METHODID_GET_UPLOAD = 2;
  private static final int METHODID_CANCEL_UPLOAD = 3;
  private static final int METHODID_LIST_FILES = 4;
  private static final int METHODID_DOWNLOAD = 5;
  private static final int METHODID_UPLOAD = 6;

  private static final class MethodHandlers<Req, Resp> implements
      io.grpc.stub.ServerCalls.UnaryMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ServerStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ClientStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.BidiStreamingMethod<Req, Resp> {
    private final AsyncService serviceImpl;
    private final int methodId;

    MethodHandlers(AsyncService serviceImpl, int methodId) {
      this.serviceImpl = serviceImpl;
      this.methodId = methodId;
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public void invoke(Req request, io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        case METHODID_GET_CAPABILITIES:
          serviceImpl.getCapabilities((org.cytomine.appengine.v1.GetCapabilitiesRequest) request,
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.GetCapabilitiesResponse>) responseObserver);
          break;
        case METHODID_START_UPLOAD:
          serviceImpl.startUpload((org.cytomine.appengine.v1.StartUploadRequest) request,
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.StartUploadResponse>) responseObserver);
          break;
        case METHODID_GET_UPLOAD:
          serviceImpl.getUpload((org.cytomine.appengine.v1.GetUploadRequest) request,
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.GetUploadResponse>) responseObserver);
          break;
        case METHODID_CANCEL_UPLOAD:
          serviceImpl.cancelUpload((org.cytomine.appengine.v1.CancelUploadRequest) request,
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.CancelUploadResponse>) responseObserver);
          break;
        case METHODID_LIST_FILES:
          serviceImpl.listFiles((org.cytomine.appengine.v1.ListFilesRequest) request,
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.ListFilesResponse>) responseObserver);
          break;
        case METHODID_DOWNLOAD:
          serviceImpl.download((org.cytomine.appengine.v1.DownloadRequest) request,
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.DownloadResponse>) responseObserver);
          break;
        default:
          throw new AssertionError();
      }
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public io.grpc.stub.StreamObserver<Req> invoke(
        io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        case METHODID_UPLOAD:
          return (io.grpc.stub.StreamObserver<Req>) serviceImpl.upload(
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.UploadResponse>) responseObserver);
        default:
          throw new AssertionError();
      }
    }
  }

  public static final io.grpc.ServerServiceDefinition bindService(AsyncService service) {
    return io.grpc.ServerServiceDefinition.builder(getServiceDescriptor())
        .addMethod(
          getGetCapabilitiesMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.GetCapabilitiesRequest,
              org.cytomine.appengine.v1.GetCapabilitiesResponse>(
                service, METHODID_GET_CAPABILITIES)))
        .addMethod(
          getStartUploadMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.StartUploadRequest,
              org.cytomine.appengine.v1.StartUploadResponse>(
                service, METHODID_START_UPLOAD)))
        .addMethod(
          getUploadMethod(),
          io.grpc.stub.ServerCalls.asyncClientStreamingCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.UploadRequest,
              org.cytomine.appengine.v1.UploadResponse>(
                service, METHODID_UPLOAD)))
        .addMethod(
          getGetUploadMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.GetUploadRequest,
              org.cytomine.appengine.v1.GetUploadResponse>(
                service, METHODID_GET_UPLOAD)))
        .addMethod(
          getCancelUploadMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.CancelUploadRequest,
              org.cytomine.appengine.v1.CancelUploadResponse>(
                service, METHODID_CANCEL_UPLOAD)))
        .addMethod(
          getListFilesMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.ListFilesRequest,
              org.cytomine.appengine.v1.ListFilesResponse>(
                service, METHODID_LIST_FILES)))
        .addMethod(
          getDownloadMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.DownloadRequest,
              org.cytomine.appengine.v1.DownloadResponse>(
                service, METHODID_DOWNLOAD)))
        .build();
  }

  private static abstract class StorageServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    StorageServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return org.cytomine.appengine.v1.StorageServiceProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("StorageService");
    }
  }

  private static final class StorageServiceFileDescriptorSupplier
      extends StorageServiceBaseDescriptorSupplier {
    StorageServiceFileDescriptorSupplier() {}
  }

  private static final class StorageServiceMethodDescriptorSupplier
      extends StorageServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    StorageServiceMethodDescriptorSupplier(java.lang.String methodName) {
      this.methodName = methodName;
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.MethodDescriptor getMethodDescriptor() {
      return getServiceDescriptor().findMethodByName(methodName);
    }
  }

  private static volatile io.grpc.ServiceDescriptor serviceDescriptor;

  public static io.grpc.ServiceDescriptor getServiceDescriptor() {
    io.grpc.ServiceDescriptor result = serviceDescriptor;
    if (result == null) {
      synchronized (StorageServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new StorageServiceFileDescriptorSupplier())
              .addMethod(getGetCapabilitiesMethod())
              .addMethod(getStartUploadMethod())
              .addMethod(getUploadMethod())
              .addMethod(getGetUploadMethod())
              .addMethod(getCancelUploadMethod())
              .addMethod(getListFilesMethod())
              .addMethod(getDownloadMethod())
              .build();
        }
      }
    }
    return result;
  }
}
