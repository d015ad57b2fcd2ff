package org.cytomine.appengine.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * TaskService keeps the tasks that can be run.
 * Every RPC may also answer UNAUTHENTICATED (no valid token), UNAVAILABLE (shutting down, or the
 * database is out of reach: try again), DEADLINE_EXCEEDED and INTERNAL (a bug; the text holds an
 * incident id for the administrator). What belongs to a project of others is NOT_FOUND. An empty
 * project means the caller's default one; tasks of the project `shared` are readable by all.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class TaskServiceGrpc {

  private TaskServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "appengine.v1.TaskService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.CreateTaskRequest,
      org.cytomine.appengine.v1.CreateTaskResponse> getCreateTaskMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CreateTask",
      requestType = org.cytomine.appengine.v1.CreateTaskRequest.class,
      responseType = org.cytomine.appengine.v1.CreateTaskResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.CreateTaskRequest,
      org.cytomine.appengine.v1.CreateTaskResponse> getCreateTaskMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.CreateTaskRequest, org.cytomine.appengine.v1.CreateTaskResponse> getCreateTaskMethod;
    if ((getCreateTaskMethod = TaskServiceGrpc.getCreateTaskMethod) == null) {
      synchronized (TaskServiceGrpc.class) {
        if ((getCreateTaskMethod = TaskServiceGrpc.getCreateTaskMethod) == null) {
          TaskServiceGrpc.getCreateTaskMethod = getCreateTaskMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.CreateTaskRequest, org.cytomine.appengine.v1.CreateTaskResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CreateTask"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.CreateTaskRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.CreateTaskResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TaskServiceMethodDescriptorSupplier("CreateTask"))
              .build();
        }
      }
    }
    return getCreateTaskMethod;
  }

  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.GetTaskRequest,
      org.cytomine.appengine.v1.GetTaskResponse> getGetTaskMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetTask",
      requestType = org.cytomine.appengine.v1.GetTaskRequest.class,
      responseType = org.cytomine.appengine.v1.GetTaskResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.GetTaskRequest,
      org.cytomine.appengine.v1.GetTaskResponse> getGetTaskMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.GetTaskRequest, org.cytomine.appengine.v1.GetTaskResponse> getGetTaskMethod;
    if ((getGetTaskMethod = TaskServiceGrpc.getGetTaskMethod) == null) {
      synchronized (TaskServiceGrpc.class) {
        if ((getGetTaskMethod = TaskServiceGrpc.getGetTaskMethod) == null) {
          TaskServiceGrpc.getGetTaskMethod = getGetTaskMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.GetTaskRequest, org.cytomine.appengine.v1.GetTaskResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetTask"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.GetTaskRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.GetTaskResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TaskServiceMethodDescriptorSupplier("GetTask"))
              .build();
        }
      }
    }
    return getGetTaskMethod;
  }

  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.WatchTaskRequest,
      org.cytomine.appengine.v1.WatchTaskResponse> getWatchTaskMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "WatchTask",
      requestType = org.cytomine.appengine.v1.WatchTaskRequest.class,
      responseType = org.cytomine.appengine.v1.WatchTaskResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.WatchTaskRequest,
      org.cytomine.appengine.v1.WatchTaskResponse> getWatchTaskMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.WatchTaskRequest, org.cytomine.appengine.v1.WatchTaskResponse> getWatchTaskMethod;
    if ((getWatchTaskMethod = TaskServiceGrpc.getWatchTaskMethod) == null) {
      synchronized (TaskServiceGrpc.class) {
        if ((getWatchTaskMethod = TaskServiceGrpc.getWatchTaskMethod) == null) {
          TaskServiceGrpc.getWatchTaskMethod = getWatchTaskMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.WatchTaskRequest, org.cytomine.appengine.v1.WatchTaskResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "WatchTask"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.WatchTaskRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.WatchTaskResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TaskServiceMethodDescriptorSupplier("WatchTask"))
              .build();
        }
      }
    }
    return getWatchTaskMethod;
  }

  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.ListTasksRequest,
      org.cytomine.appengine.v1.ListTasksResponse> getListTasksMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListTasks",
      requestType = org.cytomine.appengine.v1.ListTasksRequest.class,
      responseType = org.cytomine.appengine.v1.ListTasksResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.ListTasksRequest,
      org.cytomine.appengine.v1.ListTasksResponse> getListTasksMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.ListTasksRequest, org.cytomine.appengine.v1.ListTasksResponse> getListTasksMethod;
    if ((getListTasksMethod = TaskServiceGrpc.getListTasksMethod) == null) {
      synchronized (TaskServiceGrpc.class) {
        if ((getListTasksMethod = TaskServiceGrpc.getListTasksMethod) == null) {
          TaskServiceGrpc.getListTasksMethod = getListTasksMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.ListTasksRequest, org.cytomine.appengine.v1.ListTasksResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListTasks"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.ListTasksRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.ListTasksResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TaskServiceMethodDescriptorSupplier("ListTasks"))
              .build();
        }
      }
    }
    return getListTasksMethod;
  }

  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.DeleteTaskRequest,
      org.cytomine.appengine.v1.DeleteTaskResponse> getDeleteTaskMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "DeleteTask",
      requestType = org.cytomine.appengine.v1.DeleteTaskRequest.class,
      responseType = org.cytomine.appengine.v1.DeleteTaskResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.DeleteTaskRequest,
      org.cytomine.appengine.v1.DeleteTaskResponse> getDeleteTaskMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.DeleteTaskRequest, org.cytomine.appengine.v1.DeleteTaskResponse> getDeleteTaskMethod;
    if ((getDeleteTaskMethod = TaskServiceGrpc.getDeleteTaskMethod) == null) {
      synchronized (TaskServiceGrpc.class) {
        if ((getDeleteTaskMethod = TaskServiceGrpc.getDeleteTaskMethod) == null) {
          TaskServiceGrpc.getDeleteTaskMethod = getDeleteTaskMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.DeleteTaskRequest, org.cytomine.appengine.v1.DeleteTaskResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "DeleteTask"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.DeleteTaskRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.DeleteTaskResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TaskServiceMethodDescriptorSupplier("DeleteTask"))
              .build();
        }
      }
    }
    return getDeleteTaskMethod;
  }

  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.GetTaskDescriptorRequest,
      org.cytomine.appengine.v1.GetTaskDescriptorResponse> getGetTaskDescriptorMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetTaskDescriptor",
      requestType = org.cytomine.appengine.v1.GetTaskDescriptorRequest.class,
      responseType = org.cytomine.appengine.v1.GetTaskDescriptorResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.GetTaskDescriptorRequest,
      org.cytomine.appengine.v1.GetTaskDescriptorResponse> getGetTaskDescriptorMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.GetTaskDescriptorRequest, org.cytomine.appengine.v1.GetTaskDescriptorResponse> getGetTaskDescriptorMethod;
    if ((getGetTaskDescriptorMethod = TaskServiceGrpc.getGetTaskDescriptorMethod) == null) {
      synchronized (TaskServiceGrpc.class) {
        if ((getGetTaskDescriptorMethod = TaskServiceGrpc.getGetTaskDescriptorMethod) == null) {
          TaskServiceGrpc.getGetTaskDescriptorMethod = getGetTaskDescriptorMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.GetTaskDescriptorRequest, org.cytomine.appengine.v1.GetTaskDescriptorResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetTaskDescriptor"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.GetTaskDescriptorRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.GetTaskDescriptorResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TaskServiceMethodDescriptorSupplier("GetTaskDescriptor"))
              .build();
        }
      }
    }
    return getGetTaskDescriptorMethod;
  }

  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.GetTaskLogoRequest,
      org.cytomine.appengine.v1.GetTaskLogoResponse> getGetTaskLogoMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetTaskLogo",
      requestType = org.cytomine.appengine.v1.GetTaskLogoRequest.class,
      responseType = org.cytomine.appengine.v1.GetTaskLogoResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.GetTaskLogoRequest,
      org.cytomine.appengine.v1.GetTaskLogoResponse> getGetTaskLogoMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.GetTaskLogoRequest, org.cytomine.appengine.v1.GetTaskLogoResponse> getGetTaskLogoMethod;
    if ((getGetTaskLogoMethod = TaskServiceGrpc.getGetTaskLogoMethod) == null) {
      synchronized (TaskServiceGrpc.class) {
        if ((getGetTaskLogoMethod = TaskServiceGrpc.getGetTaskLogoMethod) == null) {
          TaskServiceGrpc.getGetTaskLogoMethod = getGetTaskLogoMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.GetTaskLogoRequest, org.cytomine.appengine.v1.GetTaskLogoResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetTaskLogo"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.GetTaskLogoRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.GetTaskLogoResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TaskServiceMethodDescriptorSupplier("GetTaskLogo"))
              .build();
        }
      }
    }
    return getGetTaskLogoMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static TaskServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<TaskServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<TaskServiceStub>() {
        @java.lang.Override
        public TaskServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new TaskServiceStub(channel, callOptions);
        }
      };
    return TaskServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static TaskServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<TaskServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<TaskServiceBlockingV2Stub>() {
        @java.lang.Override
        public TaskServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new TaskServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return TaskServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static TaskServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<TaskServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<TaskServiceBlockingStub>() {
        @java.lang.Override
        public TaskServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new TaskServiceBlockingStub(channel, callOptions);
        }
      };
    return TaskServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static TaskServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<TaskServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<TaskServiceFutureStub>() {
        @java.lang.Override
        public TaskServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new TaskServiceFutureStub(channel, callOptions);
        }
      };
    return TaskServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * TaskService keeps the tasks that can be run.
   * Every RPC may also answer UNAUTHENTICATED (no valid token), UNAVAILABLE (shutting down, or the
   * database is out of reach: try again), DEADLINE_EXCEEDED and INTERNAL (a bug; the text holds an
   * incident id for the administrator). What belongs to a project of others is NOT_FOUND. An empty
   * project means the caller's default one; tasks of the project `shared` are readable by all.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * CreateTask makes a task from a finished upload of a bundle, or from a descriptor and an image
     * that is in a registry. It answers when the bundle and its descriptor are checked; the task is
     * then PUBLISHING, and becomes READY or FAILED. A task that FAILED does not block its name.
     * INVALID_ARGUMENT: the bundle, descriptor or image has problems; all are listed, with as many
     * as fit in the details. With `validate_only` they are returned whole in an OK answer instead.
     * NOT_FOUND: no such upload. FAILED_PRECONDITION: the upload is not finished. PERMISSION_DENIED:
     * the caller may read this project but not change it. ALREADY_EXISTS
     * (TASK_EXISTS): the project has this namespace and version. ABORTED (REQUEST_ID_REUSED): the
     * `request_id` was used for another request. RESOURCE_EXHAUSTED: a limit or the disk is full.
     * </pre>
     */
    default void createTask(org.cytomine.appengine.v1.CreateTaskRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.CreateTaskResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCreateTaskMethod(), responseObserver);
    }

    /**
     * <pre>
     * GetTask answers one task. NOT_FOUND: there is none of that name.
     * INVALID_ARGUMENT: the name is incomplete.
     * </pre>
     */
    default void getTask(org.cytomine.appengine.v1.GetTaskRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.GetTaskResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetTaskMethod(), responseObserver);
    }

    /**
     * <pre>
     * WatchTask sends the task as it is, then again after every change, and ends when it is READY,
     * FAILED or gone. NOT_FOUND and INVALID_ARGUMENT as GetTask.
     * </pre>
     */
    default void watchTask(org.cytomine.appengine.v1.WatchTaskRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.WatchTaskResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getWatchTaskMethod(), responseObserver);
    }

    /**
     * <pre>
     * ListTasks answers tasks, newest first, page by page.
     * INVALID_ARGUMENT: a page token of another query, or a bad filter.
     * </pre>
     */
    default void listTasks(org.cytomine.appengine.v1.ListTasksRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.ListTasksResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListTasksMethod(), responseObserver);
    }

    /**
     * <pre>
     * DeleteTask hides the task at once; its files and image go with its last run. Deleting a task
     * that is being deleted is OK. NOT_FOUND: no such task. PERMISSION_DENIED: the caller may read
     * it but not change it. FAILED_PRECONDITION (TASK_IN_USE): it has runs that have not ended;
     * `force` cancels them.
     * </pre>
     */
    default void deleteTask(org.cytomine.appengine.v1.DeleteTaskRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.DeleteTaskResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getDeleteTaskMethod(), responseObserver);
    }

    /**
     * <pre>
     * GetTaskDescriptor answers the descriptor, byte for byte as it was uploaded.
     * NOT_FOUND and INVALID_ARGUMENT as GetTask.
     * </pre>
     */
    default void getTaskDescriptor(org.cytomine.appengine.v1.GetTaskDescriptorRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.GetTaskDescriptorResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetTaskDescriptorMethod(), responseObserver);
    }

    /**
     * <pre>
     * GetTaskLogo answers the logo, a PNG. NOT_FOUND: no such task, or it has no logo.
     * INVALID_ARGUMENT as GetTask.
     * </pre>
     */
    default void getTaskLogo(org.cytomine.appengine.v1.GetTaskLogoRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.GetTaskLogoResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetTaskLogoMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service TaskService.
   * <pre>
   * TaskService keeps the tasks that can be run.
   * Every RPC may also answer UNAUTHENTICATED (no valid token), UNAVAILABLE (shutting down, or the
   * database is out of reach: try again), DEADLINE_EXCEEDED and INTERNAL (a bug; the text holds an
   * incident id for the administrator). What belongs to a project of others is NOT_FOUND. An empty
   * project means the caller's default one; tasks of the project `shared` are readable by all.
   * </pre>
   */
  public static abstract class TaskServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return TaskServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service TaskService.
   * <pre>
   * TaskService keeps the tasks that can be run.
   * Every RPC may also answer UNAUTHENTICATED (no valid token), UNAVAILABLE (shutting down, or the
   * database is out of reach: try again), DEADLINE_EXCEEDED and INTERNAL (a bug; the text holds an
   * incident id for the administrator). What belongs to a project of others is NOT_FOUND. An empty
   * project means the caller's default one; tasks of the project `shared` are readable by all.
   * </pre>
   */
  public static final class TaskServiceStub
      extends io.grpc.stub.AbstractAsyncStub<TaskServiceStub> {
    private TaskServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected TaskServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new TaskServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * CreateTask makes a task from a finished upload of a bundle, or from a descriptor and an image
     * that is in a registry. It answers when the bundle and its descriptor are checked; the task is
     * then PUBLISHING, and becomes READY or FAILED. A task that FAILED does not block its name.
     * INVALID_ARGUMENT: the bundle, descriptor or image has problems; all are listed, with as many
     * as fit in the details. With `validate_only` they are returned whole in an OK answer instead.
     * NOT_FOUND: no such upload. FAILED_PRECONDITION: the upload is not finished. PERMISSION_DENIED:
     * the caller may read this project but not change it. ALREADY_EXISTS
     * (TASK_EXISTS): the project has this namespace and version. ABORTED (REQUEST_ID_REUSED): the
     * `request_id` was used for another request. RESOURCE_EXHAUSTED: a limit or the disk is full.
     * </pre>
     */
    public void createTask(org.cytomine.appengine.v1.CreateTaskRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.CreateTaskResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCreateTaskMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * GetTask answers one task. NOT_FOUND: there is none of that name.
     * INVALID_ARGUMENT: the name is incomplete.
     * </pre>
     */
    public void getTask(org.cytomine.appengine.v1.GetTaskRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.GetTaskResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetTaskMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * WatchTask sends the task as it is, then again after every change, and ends when it is READY,
     * FAILED or gone. NOT_FOUND and INVALID_ARGUMENT as GetTask.
     * </pre>
     */
    public void watchTask(org.cytomine.appengine.v1.WatchTaskRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.WatchTaskResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getWatchTaskMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * ListTasks answers tasks, newest first, page by page.
     * INVALID_ARGUMENT: a page token of another query, or a bad filter.
     * </pre>
     */
    public void listTasks(org.cytomine.appengine.v1.ListTasksRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.ListTasksResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListTasksMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * DeleteTask hides the task at once; its files and image go with its last run. Deleting a task
     * that is being deleted is OK. NOT_FOUND: no such task. PERMISSION_DENIED: the caller may read
     * it but not change it. FAILED_PRECONDITION (TASK_IN_USE): it has runs that have not ended;
     * `force` cancels them.
     * </pre>
     */
    public void deleteTask(org.cytomine.appengine.v1.DeleteTaskRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.DeleteTaskResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getDeleteTaskMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * GetTaskDescriptor answers the descriptor, byte for byte as it was uploaded.
     * NOT_FOUND and INVALID_ARGUMENT as GetTask.
     * </pre>
     */
    public void getTaskDescriptor(org.cytomine.appengine.v1.GetTaskDescriptorRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.GetTaskDescriptorResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetTaskDescriptorMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * GetTaskLogo answers the logo, a PNG. NOT_FOUND: no such task, or it has no logo.
     * INVALID_ARGUMENT as GetTask.
     * </pre>
     */
    public void getTaskLogo(org.cytomine.appengine.v1.GetTaskLogoRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.GetTaskLogoResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetTaskLogoMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service TaskService.
   * <pre>
   * TaskService keeps the tasks that can be run.
   * Every RPC may also answer UNAUTHENTICATED (no valid token), UNAVAILABLE (shutting down, or the
   * database is out of reach: try again), DEADLINE_EXCEEDED and INTERNAL (a bug; the text holds an
   * incident id for the administrator). What belongs to a project of others is NOT_FOUND. An empty
   * project means the caller's default one; tasks of the project `shared` are readable by all.
   * </pre>
   */
  public static final class TaskServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<TaskServiceBlockingV2Stub> {
    private TaskServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected TaskServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new TaskServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * CreateTask makes a task from a finished upload of a bundle, or from a descriptor and an image
     * that is in a registry. It answers when the bundle and its descriptor are checked; the task is
     * then PUBLISHING, and becomes READY or FAILED. A task that FAILED does not block its name.
     * INVALID_ARGUMENT: the bundle, descriptor or image has problems; all are listed, with as many
     * as fit in the details. With `validate_only` they are returned whole in an OK answer instead.
     * NOT_FOUND: no such upload. FAILED_PRECONDITION: the upload is not finished. PERMISSION_DENIED:
     * the caller may read this project but not change it. ALREADY_EXISTS
     * (TASK_EXISTS): the project has this namespace and version. ABORTED (REQUEST_ID_REUSED): the
     * `request_id` was used for another request. RESOURCE_EXHAUSTED: a limit or the disk is full.
     * </pre>
     */
    public org.cytomine.appengine.v1.CreateTaskResponse createTask(org.cytomine.appengine.v1.CreateTaskRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCreateTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * GetTask answers one task. NOT_FOUND: there is none of that name.
     * INVALID_ARGUMENT: the name is incomplete.
     * </pre>
     */
    public org.cytomine.appengine.v1.GetTaskResponse getTask(org.cytomine.appengine.v1.GetTaskRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * WatchTask sends the task as it is, then again after every change, and ends when it is READY,
     * FAILED or gone. NOT_FOUND and INVALID_ARGUMENT as GetTask.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, org.cytomine.appengine.v1.WatchTaskResponse>
        watchTask(org.cytomine.appengine.v1.WatchTaskRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getWatchTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * ListTasks answers tasks, newest first, page by page.
     * INVALID_ARGUMENT: a page token of another query, or a bad filter.
     * </pre>
     */
    public org.cytomine.appengine.v1.ListTasksResponse listTasks(org.cytomine.appengine.v1.ListTasksRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListTasksMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * DeleteTask hides the task at once; its files and image go with its last run. Deleting a task
     * that is being deleted is OK. NOT_FOUND: no such task. PERMISSION_DENIED: the caller may read
     * it but not change it. FAILED_PRECONDITION (TASK_IN_USE): it has runs that have not ended;
     * `force` cancels them.
     * </pre>
     */
    public org.cytomine.appengine.v1.DeleteTaskResponse deleteTask(org.cytomine.appengine.v1.DeleteTaskRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getDeleteTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * GetTaskDescriptor answers the descriptor, byte for byte as it was uploaded.
     * NOT_FOUND and INVALID_ARGUMENT as GetTask.
     * </pre>
     */
    public org.cytomine.appengine.v1.GetTaskDescriptorResponse getTaskDescriptor(org.cytomine.appengine.v1.GetTaskDescriptorRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetTaskDescriptorMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * GetTaskLogo answers the logo, a PNG. NOT_FOUND: no such task, or it has no logo.
     * INVALID_ARGUMENT as GetTask.
     * </pre>
     */
    public org.cytomine.appengine.v1.GetTaskLogoResponse getTaskLogo(org.cytomine.appengine.v1.GetTaskLogoRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetTaskLogoMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service TaskService.
   * <pre>
   * TaskService keeps the tasks that can be run.
   * Every RPC may also answer UNAUTHENTICATED (no valid token), UNAVAILABLE (shutting down, or the
   * database is out of reach: try again), DEADLINE_EXCEEDED and INTERNAL (a bug; the text holds an
   * incident id for the administrator). What belongs to a project of others is NOT_FOUND. An empty
   * project means the caller's default one; tasks of the project `shared` are readable by all.
   * </pre>
   */
  public static final class TaskServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<TaskServiceBlockingStub> {
    private TaskServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected TaskServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new TaskServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * CreateTask makes a task from a finished upload of a bundle, or from a descriptor and an image
     * that is in a registry. It answers when the bundle and its descriptor are checked; the task is
     * then PUBLISHING, and becomes READY or FAILED. A task that FAILED does not block its name.
     * INVALID_ARGUMENT: the bundle, descriptor or image has problems; all are listed, with as many
     * as fit in the details. With `validate_only` they are returned whole in an OK answer instead.
     * NOT_FOUND: no such upload. FAILED_PRECONDITION: the upload is not finished. PERMISSION_DENIED:
     * the caller may read this project but not change it. ALREADY_EXISTS
     * (TASK_EXISTS): the project has this namespace and version. ABORTED (REQUEST_ID_REUSED): the
     * `request_id` was used for another request. RESOURCE_EXHAUSTED: a limit or the disk is full.
     * </pre>
     */
    public org.cytomine.appengine.v1.CreateTaskResponse createTask(org.cytomine.appengine.v1.CreateTaskRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCreateTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * GetTask answers one task. NOT_FOUND: there is none of that name.
     * INVALID_ARGUMENT: the name is incomplete.
     * </pre>
     */
    public org.cytomine.appengine.v1.GetTaskResponse getTask(org.cytomine.appengine.v1.GetTaskRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * WatchTask sends the task as it is, then again after every change, and ends when it is READY,
     * FAILED or gone. NOT_FOUND and INVALID_ARGUMENT as GetTask.
     * </pre>
     */
    public java.util.Iterator<org.cytomine.appengine.v1.WatchTaskResponse> watchTask(
        org.cytomine.appengine.v1.WatchTaskRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getWatchTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * ListTasks answers tasks, newest first, page by page.
     * INVALID_ARGUMENT: a page token of another query, or a bad filter.
     * </pre>
     */
    public org.cytomine.appengine.v1.ListTasksResponse listTasks(org.cytomine.appengine.v1.ListTasksRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListTasksMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * DeleteTask hides the task at once; its files and image go with its last run. Deleting a task
     * that is being deleted is OK. NOT_FOUND: no such task. PERMISSION_DENIED: the caller may read
     * it but not change it. FAILED_PRECONDITION (TASK_IN_USE): it has runs that have not ended;
     * `force` cancels them.
     * </pre>
     */
    public org.cytomine.appengine.v1.DeleteTaskResponse deleteTask(org.cytomine.appengine.v1.DeleteTaskRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getDeleteTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * GetTaskDescriptor answers the descriptor, byte for byte as it was uploaded.
     * NOT_FOUND and INVALID_ARGUMENT as GetTask.
     * </pre>
     */
    public org.cytomine.appengine.v1.GetTaskDescriptorResponse getTaskDescriptor(org.cytomine.appengine.v1.GetTaskDescriptorRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetTaskDescriptorMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * GetTaskLogo answers the logo, a PNG. NOT_FOUND: no such task, or it has no logo.
     * INVALID_ARGUMENT as GetTask.
     * </pre>
     */
    public org.cytomine.appengine.v1.GetTaskLogoResponse getTaskLogo(org.cytomine.appengine.v1.GetTaskLogoRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetTaskLogoMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service TaskService.
   * <pre>
   * TaskService keeps the tasks that can be run.
   * Every RPC may also answer UNAUTHENTICATED (no valid token), UNAVAILABLE (shutting down, or the
   * database is out of reach: try again), DEADLINE_EXCEEDED and INTERNAL (a bug; the text holds an
   * incident id for the administrator). What belongs to a project of others is NOT_FOUND. An empty
   * project means the caller's default one; tasks of the project `shared` are readable by all.
   * </pre>
   */
  public static final class TaskServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<TaskServiceFutureStub> {
    private TaskServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected TaskServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new TaskServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * CreateTask makes a task from a finished upload of a bundle, or from a descriptor and an image
     * that is in a registry. It answers when the bundle and its descriptor are checked; the task is
     * then PUBLISHING, and becomes READY or FAILED. A task that FAILED does not block its name.
     * INVALID_ARGUMENT: the bundle, descriptor or image has problems; all are listed, with as many
     * as fit in the details. With `validate_only` they are returned whole in an OK answer instead.
     * NOT_FOUND: no such upload. FAILED_PRECONDITION: the upload is not finished. PERMISSION_DENIED:
     * the caller may read this project but not change it. ALREADY_EXISTS
     * (TASK_EXISTS): the project has this namespace and version. ABORTED (REQUEST_ID_REUSED): the
     * `request_id` was used for another request. RESOURCE_EXHAUSTED: a limit or the disk is full.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<org.cytomine.appengine.v1.CreateTaskResponse> createTask(
        org.cytomine.appengine.v1.CreateTaskRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCreateTaskMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * GetTask answers one task. NOT_FOUND: there is none of that name.
     * INVALID_ARGUMENT: the name is incomplete.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<org.cytomine.appengine.v1.GetTaskResponse> getTask(
        org.cytomine.appengine.v1.GetTaskRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetTaskMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * ListTasks answers tasks, newest first, page by page.
     * INVALID_ARGUMENT: a page token of another query, or a bad filter.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<org.cytomine.appengine.v1.ListTasksResponse> listTasks(
        org.cytomine.appengine.v1.ListTasksRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListTasksMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * DeleteTask hides the task at once; its files and image go with its last run. Deleting a task
     * that is being deleted is OK. NOT_FOUND: no such task. PERMISSION_DENIED: the caller may read
     * it but not change it. FAILED_PRECONDITION (TASK_IN_USE): it has runs that have not ended;
     * `force` cancels them.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<org.cytomine.appengine.v1.DeleteTaskResponse> deleteTask(
        org.cytomine.appengine.v1.DeleteTaskRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getDeleteTaskMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * GetTaskDescriptor answers the descriptor, byte for byte as it was uploaded.
     * NOT_FOUND and INVALID_ARGUMENT as GetTask.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<org.cytomine.appengine.v1.GetTaskDescriptorResponse> getTaskDescriptor(
        org.cytomine.appengine.v1.GetTaskDescriptorRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetTaskDescriptorMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * GetTaskLogo answers the logo, a PNG. NOT_FOUND: no such task, or it has no logo.
     * INVALID_ARGUMENT as GetTask.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<org.cytomine.appengine.v1.GetTaskLogoResponse> getTaskLogo(
        org.cytomine.appengine.v1.GetTaskLogoRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetTaskLogoMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_CREATE_TASK = 0;
  private static final int METHODID_GET_TASK = 1;
  private static final int METHODID_WATCH_TASK = 2;
  private static final int METHODID_LIST_TASKS = 3;
  private static final int METHODID_DELETE_TASK = 4;
  private static final int METHODID_GET_TASK_DESCRIPTOR = 5;
  private static final int METHODID_GET_TASK_LOGO = 6;

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
        case METHODID_CREATE_TASK:
          serviceImpl.createTask((org.cytomine.appengine.v1.CreateTaskRequest) request,
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.CreateTaskResponse>) responseObserver);
          break;
        case METHODID_GET_TASK:
          serviceImpl.getTask((org.cytomine.appengine.v1.GetTaskRequest) request,
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.GetTaskResponse>) responseObserver);
          break;
        case METHODID_WATCH_TASK:
          serviceImpl.watchTask((org.cytomine.appengine.v1.WatchTaskRequest) request,
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.WatchTaskResponse>) responseObserver);
          break;
        case METHODID_LIST_TASKS:
          serviceImpl.listTasks((org.cytomine.appengine.v1.ListTasksRequest) request,
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.ListTasksResponse>) responseObserver);
          break;
        case METHODID_DELETE_TASK:
          serviceImpl.deleteTask((org.cytomine.appengine.v1.DeleteTaskRequest) request,
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.DeleteTaskResponse>) responseObserver);
          break;
        case METHODID_GET_TASK_DESCRIPTOR:
          serviceImpl.getTaskDescriptor((org.cytomine.appengine.v1.GetTaskDescriptorRequest) request,
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.GetTaskDescriptorResponse>) responseObserver);
          break;
        case METHODID_GET_TASK_LOGO:
          serviceImpl.getTaskLogo((org.cytomine.appengine.v1.GetTaskLogoRequest) request,
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.GetTaskLogoResponse>) responseObserver);
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
        default:
          throw new AssertionError();
      }
    }
  }

  public static final io.grpc.ServerServiceDefinition bindService(AsyncService service) {
    return io.grpc.ServerServiceDefinition.builder(getServiceDescriptor())
        .addMethod(
          getCreateTaskMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.CreateTaskRequest,
              org.cytomine.appengine.v1.CreateTaskResponse>(
                service, METHODID_CREATE_TASK)))
        .addMethod(
          getGetTaskMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.GetTaskRequest,
              org.cytomine.appengine.v1.GetTaskResponse>(
                service, METHODID_GET_TASK)))
        .addMethod(
          getWatchTaskMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.WatchTaskRequest,
              org.cytomine.appengine.v1.WatchTaskResponse>(
                service, METHODID_WATCH_TASK)))
        .addMethod(
          getListTasksMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.ListTasksRequest,
              org.cytomine.appengine.v1.ListTasksResponse>(
                service, METHODID_LIST_TASKS)))
        .addMethod(
          getDeleteTaskMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.DeleteTaskRequest,
              org.cytomine.appengine.v1.DeleteTaskResponse>(
                service, METHODID_DELETE_TASK)))
        .addMethod(
          getGetTaskDescriptorMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.GetTaskDescriptorRequest,
              org.cytomine.appengine.v1.GetTaskDescriptorResponse>(
                service, METHODID_GET_TASK_DESCRIPTOR)))
        .addMethod(
          getGetTaskLogoMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.GetTaskLogoRequest,
              org.cytomine.appengine.v1.GetTaskLogoResponse>(
                service, METHODID_GET_TASK_LOGO)))
        .build();
  }

  private static abstract class TaskServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    TaskServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return org.cytomine.appengine.v1.TaskServiceProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("TaskService");
    }
  }

  private static final class TaskServiceFileDescriptorSupplier
      extends TaskServiceBaseDescriptorSupplier {
    TaskServiceFileDescriptorSupplier() {}
  }

  private static final class TaskServiceMethodDescriptorSupplier
      extends TaskServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    TaskServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (TaskServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new TaskServiceFileDescriptorSupplier())
              .addMethod(getCreateTaskMethod())
              .addMethod(getGetTaskMethod())
              .addMethod(getWatchTaskMethod())
              .addMethod(getListTasksMethod())
              .addMethod(getDeleteTaskMethod())
              .addMethod(getGetTaskDescriptorMethod())
              .addMethod(getGetTaskLogoMethod())
              .build();
        }
      }
    }
    return result;
  }
}
