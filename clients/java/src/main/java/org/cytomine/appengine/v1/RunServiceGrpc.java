package org.cytomine.appengine.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * RunService creates runs of tasks, gives them inputs, starts and follows them, and answers their
 * outputs.
 * Every RPC may also answer UNAUTHENTICATED, UNAVAILABLE, DEADLINE_EXCEEDED and INTERNAL, and
 * NOT_FOUND for what belongs to a project of others, as TaskService says. An RPC that changes a run
 * of a project that the caller may only read answers PERMISSION_DENIED.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class RunServiceGrpc {

  private RunServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "appengine.v1.RunService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.CreateRunRequest,
      org.cytomine.appengine.v1.CreateRunResponse> getCreateRunMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CreateRun",
      requestType = org.cytomine.appengine.v1.CreateRunRequest.class,
      responseType = org.cytomine.appengine.v1.CreateRunResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.CreateRunRequest,
      org.cytomine.appengine.v1.CreateRunResponse> getCreateRunMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.CreateRunRequest, org.cytomine.appengine.v1.CreateRunResponse> getCreateRunMethod;
    if ((getCreateRunMethod = RunServiceGrpc.getCreateRunMethod) == null) {
      synchronized (RunServiceGrpc.class) {
        if ((getCreateRunMethod = RunServiceGrpc.getCreateRunMethod) == null) {
          RunServiceGrpc.getCreateRunMethod = getCreateRunMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.CreateRunRequest, org.cytomine.appengine.v1.CreateRunResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CreateRun"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.CreateRunRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.CreateRunResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RunServiceMethodDescriptorSupplier("CreateRun"))
              .build();
        }
      }
    }
    return getCreateRunMethod;
  }

  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.ProvisionInputsRequest,
      org.cytomine.appengine.v1.ProvisionInputsResponse> getProvisionInputsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ProvisionInputs",
      requestType = org.cytomine.appengine.v1.ProvisionInputsRequest.class,
      responseType = org.cytomine.appengine.v1.ProvisionInputsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.ProvisionInputsRequest,
      org.cytomine.appengine.v1.ProvisionInputsResponse> getProvisionInputsMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.ProvisionInputsRequest, org.cytomine.appengine.v1.ProvisionInputsResponse> getProvisionInputsMethod;
    if ((getProvisionInputsMethod = RunServiceGrpc.getProvisionInputsMethod) == null) {
      synchronized (RunServiceGrpc.class) {
        if ((getProvisionInputsMethod = RunServiceGrpc.getProvisionInputsMethod) == null) {
          RunServiceGrpc.getProvisionInputsMethod = getProvisionInputsMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.ProvisionInputsRequest, org.cytomine.appengine.v1.ProvisionInputsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ProvisionInputs"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.ProvisionInputsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.ProvisionInputsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RunServiceMethodDescriptorSupplier("ProvisionInputs"))
              .build();
        }
      }
    }
    return getProvisionInputsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.StartRunRequest,
      org.cytomine.appengine.v1.StartRunResponse> getStartRunMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "StartRun",
      requestType = org.cytomine.appengine.v1.StartRunRequest.class,
      responseType = org.cytomine.appengine.v1.StartRunResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.StartRunRequest,
      org.cytomine.appengine.v1.StartRunResponse> getStartRunMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.StartRunRequest, org.cytomine.appengine.v1.StartRunResponse> getStartRunMethod;
    if ((getStartRunMethod = RunServiceGrpc.getStartRunMethod) == null) {
      synchronized (RunServiceGrpc.class) {
        if ((getStartRunMethod = RunServiceGrpc.getStartRunMethod) == null) {
          RunServiceGrpc.getStartRunMethod = getStartRunMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.StartRunRequest, org.cytomine.appengine.v1.StartRunResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "StartRun"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.StartRunRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.StartRunResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RunServiceMethodDescriptorSupplier("StartRun"))
              .build();
        }
      }
    }
    return getStartRunMethod;
  }

  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.CancelRunRequest,
      org.cytomine.appengine.v1.CancelRunResponse> getCancelRunMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CancelRun",
      requestType = org.cytomine.appengine.v1.CancelRunRequest.class,
      responseType = org.cytomine.appengine.v1.CancelRunResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.CancelRunRequest,
      org.cytomine.appengine.v1.CancelRunResponse> getCancelRunMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.CancelRunRequest, org.cytomine.appengine.v1.CancelRunResponse> getCancelRunMethod;
    if ((getCancelRunMethod = RunServiceGrpc.getCancelRunMethod) == null) {
      synchronized (RunServiceGrpc.class) {
        if ((getCancelRunMethod = RunServiceGrpc.getCancelRunMethod) == null) {
          RunServiceGrpc.getCancelRunMethod = getCancelRunMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.CancelRunRequest, org.cytomine.appengine.v1.CancelRunResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CancelRun"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.CancelRunRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.CancelRunResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RunServiceMethodDescriptorSupplier("CancelRun"))
              .build();
        }
      }
    }
    return getCancelRunMethod;
  }

  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.RetryRunRequest,
      org.cytomine.appengine.v1.RetryRunResponse> getRetryRunMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "RetryRun",
      requestType = org.cytomine.appengine.v1.RetryRunRequest.class,
      responseType = org.cytomine.appengine.v1.RetryRunResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.RetryRunRequest,
      org.cytomine.appengine.v1.RetryRunResponse> getRetryRunMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.RetryRunRequest, org.cytomine.appengine.v1.RetryRunResponse> getRetryRunMethod;
    if ((getRetryRunMethod = RunServiceGrpc.getRetryRunMethod) == null) {
      synchronized (RunServiceGrpc.class) {
        if ((getRetryRunMethod = RunServiceGrpc.getRetryRunMethod) == null) {
          RunServiceGrpc.getRetryRunMethod = getRetryRunMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.RetryRunRequest, org.cytomine.appengine.v1.RetryRunResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "RetryRun"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.RetryRunRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.RetryRunResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RunServiceMethodDescriptorSupplier("RetryRun"))
              .build();
        }
      }
    }
    return getRetryRunMethod;
  }

  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.DeleteRunRequest,
      org.cytomine.appengine.v1.DeleteRunResponse> getDeleteRunMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "DeleteRun",
      requestType = org.cytomine.appengine.v1.DeleteRunRequest.class,
      responseType = org.cytomine.appengine.v1.DeleteRunResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.DeleteRunRequest,
      org.cytomine.appengine.v1.DeleteRunResponse> getDeleteRunMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.DeleteRunRequest, org.cytomine.appengine.v1.DeleteRunResponse> getDeleteRunMethod;
    if ((getDeleteRunMethod = RunServiceGrpc.getDeleteRunMethod) == null) {
      synchronized (RunServiceGrpc.class) {
        if ((getDeleteRunMethod = RunServiceGrpc.getDeleteRunMethod) == null) {
          RunServiceGrpc.getDeleteRunMethod = getDeleteRunMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.DeleteRunRequest, org.cytomine.appengine.v1.DeleteRunResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "DeleteRun"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.DeleteRunRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.DeleteRunResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RunServiceMethodDescriptorSupplier("DeleteRun"))
              .build();
        }
      }
    }
    return getDeleteRunMethod;
  }

  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.GetRunRequest,
      org.cytomine.appengine.v1.GetRunResponse> getGetRunMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetRun",
      requestType = org.cytomine.appengine.v1.GetRunRequest.class,
      responseType = org.cytomine.appengine.v1.GetRunResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.GetRunRequest,
      org.cytomine.appengine.v1.GetRunResponse> getGetRunMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.GetRunRequest, org.cytomine.appengine.v1.GetRunResponse> getGetRunMethod;
    if ((getGetRunMethod = RunServiceGrpc.getGetRunMethod) == null) {
      synchronized (RunServiceGrpc.class) {
        if ((getGetRunMethod = RunServiceGrpc.getGetRunMethod) == null) {
          RunServiceGrpc.getGetRunMethod = getGetRunMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.GetRunRequest, org.cytomine.appengine.v1.GetRunResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetRun"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.GetRunRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.GetRunResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RunServiceMethodDescriptorSupplier("GetRun"))
              .build();
        }
      }
    }
    return getGetRunMethod;
  }

  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.ListRunsRequest,
      org.cytomine.appengine.v1.ListRunsResponse> getListRunsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListRuns",
      requestType = org.cytomine.appengine.v1.ListRunsRequest.class,
      responseType = org.cytomine.appengine.v1.ListRunsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.ListRunsRequest,
      org.cytomine.appengine.v1.ListRunsResponse> getListRunsMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.ListRunsRequest, org.cytomine.appengine.v1.ListRunsResponse> getListRunsMethod;
    if ((getListRunsMethod = RunServiceGrpc.getListRunsMethod) == null) {
      synchronized (RunServiceGrpc.class) {
        if ((getListRunsMethod = RunServiceGrpc.getListRunsMethod) == null) {
          RunServiceGrpc.getListRunsMethod = getListRunsMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.ListRunsRequest, org.cytomine.appengine.v1.ListRunsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListRuns"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.ListRunsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.ListRunsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RunServiceMethodDescriptorSupplier("ListRuns"))
              .build();
        }
      }
    }
    return getListRunsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.WatchRunRequest,
      org.cytomine.appengine.v1.WatchRunResponse> getWatchRunMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "WatchRun",
      requestType = org.cytomine.appengine.v1.WatchRunRequest.class,
      responseType = org.cytomine.appengine.v1.WatchRunResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.WatchRunRequest,
      org.cytomine.appengine.v1.WatchRunResponse> getWatchRunMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.WatchRunRequest, org.cytomine.appengine.v1.WatchRunResponse> getWatchRunMethod;
    if ((getWatchRunMethod = RunServiceGrpc.getWatchRunMethod) == null) {
      synchronized (RunServiceGrpc.class) {
        if ((getWatchRunMethod = RunServiceGrpc.getWatchRunMethod) == null) {
          RunServiceGrpc.getWatchRunMethod = getWatchRunMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.WatchRunRequest, org.cytomine.appengine.v1.WatchRunResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "WatchRun"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.WatchRunRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.WatchRunResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RunServiceMethodDescriptorSupplier("WatchRun"))
              .build();
        }
      }
    }
    return getWatchRunMethod;
  }

  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.WatchRunsRequest,
      org.cytomine.appengine.v1.WatchRunsResponse> getWatchRunsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "WatchRuns",
      requestType = org.cytomine.appengine.v1.WatchRunsRequest.class,
      responseType = org.cytomine.appengine.v1.WatchRunsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.WatchRunsRequest,
      org.cytomine.appengine.v1.WatchRunsResponse> getWatchRunsMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.WatchRunsRequest, org.cytomine.appengine.v1.WatchRunsResponse> getWatchRunsMethod;
    if ((getWatchRunsMethod = RunServiceGrpc.getWatchRunsMethod) == null) {
      synchronized (RunServiceGrpc.class) {
        if ((getWatchRunsMethod = RunServiceGrpc.getWatchRunsMethod) == null) {
          RunServiceGrpc.getWatchRunsMethod = getWatchRunsMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.WatchRunsRequest, org.cytomine.appengine.v1.WatchRunsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "WatchRuns"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.WatchRunsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.WatchRunsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RunServiceMethodDescriptorSupplier("WatchRuns"))
              .build();
        }
      }
    }
    return getWatchRunsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.TailLogsRequest,
      org.cytomine.appengine.v1.TailLogsResponse> getTailLogsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "TailLogs",
      requestType = org.cytomine.appengine.v1.TailLogsRequest.class,
      responseType = org.cytomine.appengine.v1.TailLogsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.TailLogsRequest,
      org.cytomine.appengine.v1.TailLogsResponse> getTailLogsMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.TailLogsRequest, org.cytomine.appengine.v1.TailLogsResponse> getTailLogsMethod;
    if ((getTailLogsMethod = RunServiceGrpc.getTailLogsMethod) == null) {
      synchronized (RunServiceGrpc.class) {
        if ((getTailLogsMethod = RunServiceGrpc.getTailLogsMethod) == null) {
          RunServiceGrpc.getTailLogsMethod = getTailLogsMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.TailLogsRequest, org.cytomine.appengine.v1.TailLogsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "TailLogs"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.TailLogsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.TailLogsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RunServiceMethodDescriptorSupplier("TailLogs"))
              .build();
        }
      }
    }
    return getTailLogsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.GetRunInputsRequest,
      org.cytomine.appengine.v1.GetRunInputsResponse> getGetRunInputsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetRunInputs",
      requestType = org.cytomine.appengine.v1.GetRunInputsRequest.class,
      responseType = org.cytomine.appengine.v1.GetRunInputsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.GetRunInputsRequest,
      org.cytomine.appengine.v1.GetRunInputsResponse> getGetRunInputsMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.GetRunInputsRequest, org.cytomine.appengine.v1.GetRunInputsResponse> getGetRunInputsMethod;
    if ((getGetRunInputsMethod = RunServiceGrpc.getGetRunInputsMethod) == null) {
      synchronized (RunServiceGrpc.class) {
        if ((getGetRunInputsMethod = RunServiceGrpc.getGetRunInputsMethod) == null) {
          RunServiceGrpc.getGetRunInputsMethod = getGetRunInputsMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.GetRunInputsRequest, org.cytomine.appengine.v1.GetRunInputsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetRunInputs"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.GetRunInputsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.GetRunInputsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RunServiceMethodDescriptorSupplier("GetRunInputs"))
              .build();
        }
      }
    }
    return getGetRunInputsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<org.cytomine.appengine.v1.GetRunOutputsRequest,
      org.cytomine.appengine.v1.GetRunOutputsResponse> getGetRunOutputsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetRunOutputs",
      requestType = org.cytomine.appengine.v1.GetRunOutputsRequest.class,
      responseType = org.cytomine.appengine.v1.GetRunOutputsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<org.cytomine.appengine.v1.GetRunOutputsRequest,
      org.cytomine.appengine.v1.GetRunOutputsResponse> getGetRunOutputsMethod() {
    io.grpc.MethodDescriptor<org.cytomine.appengine.v1.GetRunOutputsRequest, org.cytomine.appengine.v1.GetRunOutputsResponse> getGetRunOutputsMethod;
    if ((getGetRunOutputsMethod = RunServiceGrpc.getGetRunOutputsMethod) == null) {
      synchronized (RunServiceGrpc.class) {
        if ((getGetRunOutputsMethod = RunServiceGrpc.getGetRunOutputsMethod) == null) {
          RunServiceGrpc.getGetRunOutputsMethod = getGetRunOutputsMethod =
              io.grpc.MethodDescriptor.<org.cytomine.appengine.v1.GetRunOutputsRequest, org.cytomine.appengine.v1.GetRunOutputsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetRunOutputs"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.GetRunOutputsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  org.cytomine.appengine.v1.GetRunOutputsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RunServiceMethodDescriptorSupplier("GetRunOutputs"))
              .build();
        }
      }
    }
    return getGetRunOutputsMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static RunServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<RunServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<RunServiceStub>() {
        @java.lang.Override
        public RunServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new RunServiceStub(channel, callOptions);
        }
      };
    return RunServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static RunServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<RunServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<RunServiceBlockingV2Stub>() {
        @java.lang.Override
        public RunServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new RunServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return RunServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static RunServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<RunServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<RunServiceBlockingStub>() {
        @java.lang.Override
        public RunServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new RunServiceBlockingStub(channel, callOptions);
        }
      };
    return RunServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static RunServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<RunServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<RunServiceFutureStub>() {
        @java.lang.Override
        public RunServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new RunServiceFutureStub(channel, callOptions);
        }
      };
    return RunServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * RunService creates runs of tasks, gives them inputs, starts and follows them, and answers their
   * outputs.
   * Every RPC may also answer UNAUTHENTICATED, UNAVAILABLE, DEADLINE_EXCEEDED and INTERNAL, and
   * NOT_FOUND for what belongs to a project of others, as TaskService says. An RPC that changes a run
   * of a project that the caller may only read answers PERMISSION_DENIED.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * CreateRun makes a run; with `inputs` it provisions them, and with `start` it starts the run, all
     * or nothing.
     * INVALID_ARGUMENT: problems with values, all listed (`validate_only` returns them whole in an OK
     * answer). NOT_FOUND: no such task. FAILED_PRECONDITION: the task is being deleted, or `start` and
     * inputs are missing. ABORTED (REQUEST_ID_REUSED): the `request_id` was used for another request.
     * RESOURCE_EXHAUSTED: the disk is nearly full, or a quota.
     * </pre>
     */
    default void createRun(org.cytomine.appengine.v1.CreateRunRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.CreateRunResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCreateRunMethod(), responseObserver);
    }

    /**
     * <pre>
     * ProvisionInputs gives values to inputs, all or nothing. A new value replaces the old one
     * completely; a null clears an optional input; an empty array beside items of it clears what was
     * there before them. Files and images arrive by StorageService.
     * INVALID_ARGUMENT: problems with values, all listed (`validate_only` returns them whole in an OK
     * answer). NOT_FOUND: no such run. FAILED_PRECONDITION (RUN_STATE): the run was started.
     * </pre>
     */
    default void provisionInputs(org.cytomine.appengine.v1.ProvisionInputsRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.ProvisionInputsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getProvisionInputsMethod(), responseObserver);
    }

    /**
     * <pre>
     * StartRun puts the run into the queue. Starting a started run is OK and changes nothing.
     * NOT_FOUND: no such run. FAILED_PRECONDITION: inputs are missing or incomplete, all listed; or the
     * run has ended. RESOURCE_EXHAUSTED: the disk is nearly full.
     * </pre>
     */
    default void startRun(org.cytomine.appengine.v1.StartRunRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.StartRunResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getStartRunMethod(), responseObserver);
    }

    /**
     * <pre>
     * CancelRun asks the run to stop and answers at once. The task gets SIGTERM, and SIGKILL after a
     * grace time. Cancelling a run that is cancelled or being cancelled is OK.
     * NOT_FOUND: no such run. FAILED_PRECONDITION (RUN_STATE): it has SUCCEEDED or FAILED.
     * </pre>
     */
    default void cancelRun(org.cytomine.appengine.v1.CancelRunRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.CancelRunResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCancelRunMethod(), responseObserver);
    }

    /**
     * <pre>
     * RetryRun makes a new run with the same task and inputs and starts it.
     * NOT_FOUND: no such run, or its task is gone. FAILED_PRECONDITION (RUN_STATE): the run has not
     * ended. ABORTED (REQUEST_ID_REUSED): the `request_id` was used for another request.
     * RESOURCE_EXHAUSTED: the disk is nearly full.
     * </pre>
     */
    default void retryRun(org.cytomine.appengine.v1.RetryRunRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.RetryRunResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getRetryRunMethod(), responseObserver);
    }

    /**
     * <pre>
     * DeleteRun removes the run with its files, logs and containers. NOT_FOUND: no such run.
     * FAILED_PRECONDITION (RUN_STATE): it was started and has not ended: cancel it first.
     * </pre>
     */
    default void deleteRun(org.cytomine.appengine.v1.DeleteRunRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.DeleteRunResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getDeleteRunMethod(), responseObserver);
    }

    /**
     * <pre>
     * GetRun answers one run. NOT_FOUND: no such run. INVALID_ARGUMENT: the id is malformed.
     * </pre>
     */
    default void getRun(org.cytomine.appengine.v1.GetRunRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.GetRunResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetRunMethod(), responseObserver);
    }

    /**
     * <pre>
     * ListRuns answers runs, newest first, page by page.
     * INVALID_ARGUMENT: a page token of another query, or a bad filter.
     * </pre>
     */
    default void listRuns(org.cytomine.appengine.v1.ListRunsRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.ListRunsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListRunsMethod(), responseObserver);
    }

    /**
     * <pre>
     * WatchRun sends every change of one run in order, none left out or sent twice, and ends after the
     * run has ended. After a cut, call it again with the last revision. NOT_FOUND: no such run.
     * INVALID_ARGUMENT: the id is malformed, or a revision that the run has not reached.
     * </pre>
     */
    default void watchRun(org.cytomine.appengine.v1.WatchRunRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.WatchRunResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getWatchRunMethod(), responseObserver);
    }

    /**
     * <pre>
     * WatchRuns sends the changes of all runs that match, until the caller leaves. After a cut, call it
     * again with the last token. INVALID_ARGUMENT: a token that this server did not make, a bad filter.
     * </pre>
     */
    default void watchRuns(org.cytomine.appengine.v1.WatchRunsRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.WatchRunsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getWatchRunsMethod(), responseObserver);
    }

    /**
     * <pre>
     * TailLogs sends what the task printed (stdout and stderr as they came), from a byte cursor. With
     * `follow` it goes on until the attempt has ended. NOT_FOUND: no such run or attempt.
     * OUT_OF_RANGE: the cursor lies behind the end of an attempt that has ended.
     * </pre>
     */
    default void tailLogs(org.cytomine.appengine.v1.TailLogsRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.TailLogsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getTailLogsMethod(), responseObserver);
    }

    /**
     * <pre>
     * GetRunInputs answers the inputs with their values, in the order of the descriptor.
     * NOT_FOUND: no such run. INVALID_ARGUMENT: an unknown parameter, or a page token of another query.
     * </pre>
     */
    default void getRunInputs(org.cytomine.appengine.v1.GetRunInputsRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.GetRunInputsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetRunInputsMethod(), responseObserver);
    }

    /**
     * <pre>
     * GetRunOutputs answers the outputs of a run that SUCCEEDED, in the order of the descriptor; large
     * arrays page by page. Errors as GetRunInputs; FAILED_PRECONDITION (RUN_STATE): the run has not
     * SUCCEEDED. What a failed task left behind is in StorageService.ListFiles.
     * </pre>
     */
    default void getRunOutputs(org.cytomine.appengine.v1.GetRunOutputsRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.GetRunOutputsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetRunOutputsMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service RunService.
   * <pre>
   * RunService creates runs of tasks, gives them inputs, starts and follows them, and answers their
   * outputs.
   * Every RPC may also answer UNAUTHENTICATED, UNAVAILABLE, DEADLINE_EXCEEDED and INTERNAL, and
   * NOT_FOUND for what belongs to a project of others, as TaskService says. An RPC that changes a run
   * of a project that the caller may only read answers PERMISSION_DENIED.
   * </pre>
   */
  public static abstract class RunServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return RunServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service RunService.
   * <pre>
   * RunService creates runs of tasks, gives them inputs, starts and follows them, and answers their
   * outputs.
   * Every RPC may also answer UNAUTHENTICATED, UNAVAILABLE, DEADLINE_EXCEEDED and INTERNAL, and
   * NOT_FOUND for what belongs to a project of others, as TaskService says. An RPC that changes a run
   * of a project that the caller may only read answers PERMISSION_DENIED.
   * </pre>
   */
  public static final class RunServiceStub
      extends io.grpc.stub.AbstractAsyncStub<RunServiceStub> {
    private RunServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected RunServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new RunServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * CreateRun makes a run; with `inputs` it provisions them, and with `start` it starts the run, all
     * or nothing.
     * INVALID_ARGUMENT: problems with values, all listed (`validate_only` returns them whole in an OK
     * answer). NOT_FOUND: no such task. FAILED_PRECONDITION: the task is being deleted, or `start` and
     * inputs are missing. ABORTED (REQUEST_ID_REUSED): the `request_id` was used for another request.
     * RESOURCE_EXHAUSTED: the disk is nearly full, or a quota.
     * </pre>
     */
    public void createRun(org.cytomine.appengine.v1.CreateRunRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.CreateRunResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCreateRunMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * ProvisionInputs gives values to inputs, all or nothing. A new value replaces the old one
     * completely; a null clears an optional input; an empty array beside items of it clears what was
     * there before them. Files and images arrive by StorageService.
     * INVALID_ARGUMENT: problems with values, all listed (`validate_only` returns them whole in an OK
     * answer). NOT_FOUND: no such run. FAILED_PRECONDITION (RUN_STATE): the run was started.
     * </pre>
     */
    public void provisionInputs(org.cytomine.appengine.v1.ProvisionInputsRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.ProvisionInputsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getProvisionInputsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * StartRun puts the run into the queue. Starting a started run is OK and changes nothing.
     * NOT_FOUND: no such run. FAILED_PRECONDITION: inputs are missing or incomplete, all listed; or the
     * run has ended. RESOURCE_EXHAUSTED: the disk is nearly full.
     * </pre>
     */
    public void startRun(org.cytomine.appengine.v1.StartRunRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.StartRunResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getStartRunMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * CancelRun asks the run to stop and answers at once. The task gets SIGTERM, and SIGKILL after a
     * grace time. Cancelling a run that is cancelled or being cancelled is OK.
     * NOT_FOUND: no such run. FAILED_PRECONDITION (RUN_STATE): it has SUCCEEDED or FAILED.
     * </pre>
     */
    public void cancelRun(org.cytomine.appengine.v1.CancelRunRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.CancelRunResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCancelRunMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * RetryRun makes a new run with the same task and inputs and starts it.
     * NOT_FOUND: no such run, or its task is gone. FAILED_PRECONDITION (RUN_STATE): the run has not
     * ended. ABORTED (REQUEST_ID_REUSED): the `request_id` was used for another request.
     * RESOURCE_EXHAUSTED: the disk is nearly full.
     * </pre>
     */
    public void retryRun(org.cytomine.appengine.v1.RetryRunRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.RetryRunResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getRetryRunMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * DeleteRun removes the run with its files, logs and containers. NOT_FOUND: no such run.
     * FAILED_PRECONDITION (RUN_STATE): it was started and has not ended: cancel it first.
     * </pre>
     */
    public void deleteRun(org.cytomine.appengine.v1.DeleteRunRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.DeleteRunResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getDeleteRunMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * GetRun answers one run. NOT_FOUND: no such run. INVALID_ARGUMENT: the id is malformed.
     * </pre>
     */
    public void getRun(org.cytomine.appengine.v1.GetRunRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.GetRunResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetRunMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * ListRuns answers runs, newest first, page by page.
     * INVALID_ARGUMENT: a page token of another query, or a bad filter.
     * </pre>
     */
    public void listRuns(org.cytomine.appengine.v1.ListRunsRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.ListRunsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListRunsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * WatchRun sends every change of one run in order, none left out or sent twice, and ends after the
     * run has ended. After a cut, call it again with the last revision. NOT_FOUND: no such run.
     * INVALID_ARGUMENT: the id is malformed, or a revision that the run has not reached.
     * </pre>
     */
    public void watchRun(org.cytomine.appengine.v1.WatchRunRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.WatchRunResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getWatchRunMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * WatchRuns sends the changes of all runs that match, until the caller leaves. After a cut, call it
     * again with the last token. INVALID_ARGUMENT: a token that this server did not make, a bad filter.
     * </pre>
     */
    public void watchRuns(org.cytomine.appengine.v1.WatchRunsRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.WatchRunsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getWatchRunsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * TailLogs sends what the task printed (stdout and stderr as they came), from a byte cursor. With
     * `follow` it goes on until the attempt has ended. NOT_FOUND: no such run or attempt.
     * OUT_OF_RANGE: the cursor lies behind the end of an attempt that has ended.
     * </pre>
     */
    public void tailLogs(org.cytomine.appengine.v1.TailLogsRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.TailLogsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getTailLogsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * GetRunInputs answers the inputs with their values, in the order of the descriptor.
     * NOT_FOUND: no such run. INVALID_ARGUMENT: an unknown parameter, or a page token of another query.
     * </pre>
     */
    public void getRunInputs(org.cytomine.appengine.v1.GetRunInputsRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.GetRunInputsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetRunInputsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * GetRunOutputs answers the outputs of a run that SUCCEEDED, in the order of the descriptor; large
     * arrays page by page. Errors as GetRunInputs; FAILED_PRECONDITION (RUN_STATE): the run has not
     * SUCCEEDED. What a failed task left behind is in StorageService.ListFiles.
     * </pre>
     */
    public void getRunOutputs(org.cytomine.appengine.v1.GetRunOutputsRequest request,
        io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.GetRunOutputsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetRunOutputsMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service RunService.
   * <pre>
   * RunService creates runs of tasks, gives them inputs, starts and follows them, and answers their
   * outputs.
   * Every RPC may also answer UNAUTHENTICATED, UNAVAILABLE, DEADLINE_EXCEEDED and INTERNAL, and
   * NOT_FOUND for what belongs to a project of others, as TaskService says. An RPC that changes a run
   * of a project that the caller may only read answers PERMISSION_DENIED.
   * </pre>
   */
  public static final class RunServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<RunServiceBlockingV2Stub> {
    private RunServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected RunServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new RunServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * CreateRun makes a run; with `inputs` it provisions them, and with `start` it starts the run, all
     * or nothing.
     * INVALID_ARGUMENT: problems with values, all listed (`validate_only` returns them whole in an OK
     * answer). NOT_FOUND: no such task. FAILED_PRECONDITION: the task is being deleted, or `start` and
     * inputs are missing. ABORTED (REQUEST_ID_REUSED): the `request_id` was used for another request.
     * RESOURCE_EXHAUSTED: the disk is nearly full, or a quota.
     * </pre>
     */
    public org.cytomine.appengine.v1.CreateRunResponse createRun(org.cytomine.appengine.v1.CreateRunRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCreateRunMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * ProvisionInputs gives values to inputs, all or nothing. A new value replaces the old one
     * completely; a null clears an optional input; an empty array beside items of it clears what was
     * there before them. Files and images arrive by StorageService.
     * INVALID_ARGUMENT: problems with values, all listed (`validate_only` returns them whole in an OK
     * answer). NOT_FOUND: no such run. FAILED_PRECONDITION (RUN_STATE): the run was started.
     * </pre>
     */
    public org.cytomine.appengine.v1.ProvisionInputsResponse provisionInputs(org.cytomine.appengine.v1.ProvisionInputsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getProvisionInputsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * StartRun puts the run into the queue. Starting a started run is OK and changes nothing.
     * NOT_FOUND: no such run. FAILED_PRECONDITION: inputs are missing or incomplete, all listed; or the
     * run has ended. RESOURCE_EXHAUSTED: the disk is nearly full.
     * </pre>
     */
    public org.cytomine.appengine.v1.StartRunResponse startRun(org.cytomine.appengine.v1.StartRunRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getStartRunMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * CancelRun asks the run to stop and answers at once. The task gets SIGTERM, and SIGKILL after a
     * grace time. Cancelling a run that is cancelled or being cancelled is OK.
     * NOT_FOUND: no such run. FAILED_PRECONDITION (RUN_STATE): it has SUCCEEDED or FAILED.
     * </pre>
     */
    public org.cytomine.appengine.v1.CancelRunResponse cancelRun(org.cytomine.appengine.v1.CancelRunRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCancelRunMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * RetryRun makes a new run with the same task and inputs and starts it.
     * NOT_FOUND: no such run, or its task is gone. FAILED_PRECONDITION (RUN_STATE): the run has not
     * ended. ABORTED (REQUEST_ID_REUSED): the `request_id` was used for another request.
     * RESOURCE_EXHAUSTED: the disk is nearly full.
     * </pre>
     */
    public org.cytomine.appengine.v1.RetryRunResponse retryRun(org.cytomine.appengine.v1.RetryRunRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getRetryRunMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * DeleteRun removes the run with its files, logs and containers. NOT_FOUND: no such run.
     * FAILED_PRECONDITION (RUN_STATE): it was started and has not ended: cancel it first.
     * </pre>
     */
    public org.cytomine.appengine.v1.DeleteRunResponse deleteRun(org.cytomine.appengine.v1.DeleteRunRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getDeleteRunMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * GetRun answers one run. NOT_FOUND: no such run. INVALID_ARGUMENT: the id is malformed.
     * </pre>
     */
    public org.cytomine.appengine.v1.GetRunResponse getRun(org.cytomine.appengine.v1.GetRunRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetRunMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * ListRuns answers runs, newest first, page by page.
     * INVALID_ARGUMENT: a page token of another query, or a bad filter.
     * </pre>
     */
    public org.cytomine.appengine.v1.ListRunsResponse listRuns(org.cytomine.appengine.v1.ListRunsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListRunsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * WatchRun sends every change of one run in order, none left out or sent twice, and ends after the
     * run has ended. After a cut, call it again with the last revision. NOT_FOUND: no such run.
     * INVALID_ARGUMENT: the id is malformed, or a revision that the run has not reached.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, org.cytomine.appengine.v1.WatchRunResponse>
        watchRun(org.cytomine.appengine.v1.WatchRunRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getWatchRunMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * WatchRuns sends the changes of all runs that match, until the caller leaves. After a cut, call it
     * again with the last token. INVALID_ARGUMENT: a token that this server did not make, a bad filter.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, org.cytomine.appengine.v1.WatchRunsResponse>
        watchRuns(org.cytomine.appengine.v1.WatchRunsRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getWatchRunsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * TailLogs sends what the task printed (stdout and stderr as they came), from a byte cursor. With
     * `follow` it goes on until the attempt has ended. NOT_FOUND: no such run or attempt.
     * OUT_OF_RANGE: the cursor lies behind the end of an attempt that has ended.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, org.cytomine.appengine.v1.TailLogsResponse>
        tailLogs(org.cytomine.appengine.v1.TailLogsRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getTailLogsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * GetRunInputs answers the inputs with their values, in the order of the descriptor.
     * NOT_FOUND: no such run. INVALID_ARGUMENT: an unknown parameter, or a page token of another query.
     * </pre>
     */
    public org.cytomine.appengine.v1.GetRunInputsResponse getRunInputs(org.cytomine.appengine.v1.GetRunInputsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetRunInputsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * GetRunOutputs answers the outputs of a run that SUCCEEDED, in the order of the descriptor; large
     * arrays page by page. Errors as GetRunInputs; FAILED_PRECONDITION (RUN_STATE): the run has not
     * SUCCEEDED. What a failed task left behind is in StorageService.ListFiles.
     * </pre>
     */
    public org.cytomine.appengine.v1.GetRunOutputsResponse getRunOutputs(org.cytomine.appengine.v1.GetRunOutputsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetRunOutputsMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service RunService.
   * <pre>
   * RunService creates runs of tasks, gives them inputs, starts and follows them, and answers their
   * outputs.
   * Every RPC may also answer UNAUTHENTICATED, UNAVAILABLE, DEADLINE_EXCEEDED and INTERNAL, and
   * NOT_FOUND for what belongs to a project of others, as TaskService says. An RPC that changes a run
   * of a project that the caller may only read answers PERMISSION_DENIED.
   * </pre>
   */
  public static final class RunServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<RunServiceBlockingStub> {
    private RunServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected RunServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new RunServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * CreateRun makes a run; with `inputs` it provisions them, and with `start` it starts the run, all
     * or nothing.
     * INVALID_ARGUMENT: problems with values, all listed (`validate_only` returns them whole in an OK
     * answer). NOT_FOUND: no such task. FAILED_PRECONDITION: the task is being deleted, or `start` and
     * inputs are missing. ABORTED (REQUEST_ID_REUSED): the `request_id` was used for another request.
     * RESOURCE_EXHAUSTED: the disk is nearly full, or a quota.
     * </pre>
     */
    public org.cytomine.appengine.v1.CreateRunResponse createRun(org.cytomine.appengine.v1.CreateRunRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCreateRunMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * ProvisionInputs gives values to inputs, all or nothing. A new value replaces the old one
     * completely; a null clears an optional input; an empty array beside items of it clears what was
     * there before them. Files and images arrive by StorageService.
     * INVALID_ARGUMENT: problems with values, all listed (`validate_only` returns them whole in an OK
     * answer). NOT_FOUND: no such run. FAILED_PRECONDITION (RUN_STATE): the run was started.
     * </pre>
     */
    public org.cytomine.appengine.v1.ProvisionInputsResponse provisionInputs(org.cytomine.appengine.v1.ProvisionInputsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getProvisionInputsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * StartRun puts the run into the queue. Starting a started run is OK and changes nothing.
     * NOT_FOUND: no such run. FAILED_PRECONDITION: inputs are missing or incomplete, all listed; or the
     * run has ended. RESOURCE_EXHAUSTED: the disk is nearly full.
     * </pre>
     */
    public org.cytomine.appengine.v1.StartRunResponse startRun(org.cytomine.appengine.v1.StartRunRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getStartRunMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * CancelRun asks the run to stop and answers at once. The task gets SIGTERM, and SIGKILL after a
     * grace time. Cancelling a run that is cancelled or being cancelled is OK.
     * NOT_FOUND: no such run. FAILED_PRECONDITION (RUN_STATE): it has SUCCEEDED or FAILED.
     * </pre>
     */
    public org.cytomine.appengine.v1.CancelRunResponse cancelRun(org.cytomine.appengine.v1.CancelRunRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCancelRunMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * RetryRun makes a new run with the same task and inputs and starts it.
     * NOT_FOUND: no such run, or its task is gone. FAILED_PRECONDITION (RUN_STATE): the run has not
     * ended. ABORTED (REQUEST_ID_REUSED): the `request_id` was used for another request.
     * RESOURCE_EXHAUSTED: the disk is nearly full.
     * </pre>
     */
    public org.cytomine.appengine.v1.RetryRunResponse retryRun(org.cytomine.appengine.v1.RetryRunRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getRetryRunMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * DeleteRun removes the run with its files, logs and containers. NOT_FOUND: no such run.
     * FAILED_PRECONDITION (RUN_STATE): it was started and has not ended: cancel it first.
     * </pre>
     */
    public org.cytomine.appengine.v1.DeleteRunResponse deleteRun(org.cytomine.appengine.v1.DeleteRunRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getDeleteRunMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * GetRun answers one run. NOT_FOUND: no such run. INVALID_ARGUMENT: the id is malformed.
     * </pre>
     */
    public org.cytomine.appengine.v1.GetRunResponse getRun(org.cytomine.appengine.v1.GetRunRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetRunMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * ListRuns answers runs, newest first, page by page.
     * INVALID_ARGUMENT: a page token of another query, or a bad filter.
     * </pre>
     */
    public org.cytomine.appengine.v1.ListRunsResponse listRuns(org.cytomine.appengine.v1.ListRunsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListRunsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * WatchRun sends every change of one run in order, none left out or sent twice, and ends after the
     * run has ended. After a cut, call it again with the last revision. NOT_FOUND: no such run.
     * INVALID_ARGUMENT: the id is malformed, or a revision that the run has not reached.
     * </pre>
     */
    public java.util.Iterator<org.cytomine.appengine.v1.WatchRunResponse> watchRun(
        org.cytomine.appengine.v1.WatchRunRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getWatchRunMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * WatchRuns sends the changes of all runs that match, until the caller leaves. After a cut, call it
     * again with the last token. INVALID_ARGUMENT: a token that this server did not make, a bad filter.
     * </pre>
     */
    public java.util.Iterator<org.cytomine.appengine.v1.WatchRunsResponse> watchRuns(
        org.cytomine.appengine.v1.WatchRunsRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getWatchRunsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * TailLogs sends what the task printed (stdout and stderr as they came), from a byte cursor. With
     * `follow` it goes on until the attempt has ended. NOT_FOUND: no such run or attempt.
     * OUT_OF_RANGE: the cursor lies behind the end of an attempt that has ended.
     * </pre>
     */
    public java.util.Iterator<org.cytomine.appengine.v1.TailLogsResponse> tailLogs(
        org.cytomine.appengine.v1.TailLogsRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getTailLogsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * GetRunInputs answers the inputs with their values, in the order of the descriptor.
     * NOT_FOUND: no such run. INVALID_ARGUMENT: an unknown parameter, or a page token of another query.
     * </pre>
     */
    public org.cytomine.appengine.v1.GetRunInputsResponse getRunInputs(org.cytomine.appengine.v1.GetRunInputsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetRunInputsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * GetRunOutputs answers the outputs of a run that SUCCEEDED, in the order of the descriptor; large
     * arrays page by page. Errors as GetRunInputs; FAILED_PRECONDITION (RUN_STATE): the run has not
     * SUCCEEDED. What a failed task left behind is in StorageService.ListFiles.
     * </pre>
     */
    public org.cytomine.appengine.v1.GetRunOutputsResponse getRunOutputs(org.cytomine.appengine.v1.GetRunOutputsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetRunOutputsMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service RunService.
   * <pre>
   * RunService creates runs of tasks, gives them inputs, starts and follows them, and answers their
   * outputs.
   * Every RPC may also answer UNAUTHENTICATED, UNAVAILABLE, DEADLINE_EXCEEDED and INTERNAL, and
   * NOT_FOUND for what belongs to a project of others, as TaskService says. An RPC that changes a run
   * of a project that the caller may only read answers PERMISSION_DENIED.
   * </pre>
   */
  public static final class RunServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<RunServiceFutureStub> {
    private RunServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected RunServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new RunServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * CreateRun makes a run; with `inputs` it provisions them, and with `start` it starts the run, all
     * or nothing.
     * INVALID_ARGUMENT: problems with values, all listed (`validate_only` returns them whole in an OK
     * answer). NOT_FOUND: no such task. FAILED_PRECONDITION: the task is being deleted, or `start` and
     * inputs are missing. ABORTED (REQUEST_ID_REUSED): the `request_id` was used for another request.
     * RESOURCE_EXHAUSTED: the disk is nearly full, or a quota.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<org.cytomine.appengine.v1.CreateRunResponse> createRun(
        org.cytomine.appengine.v1.CreateRunRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCreateRunMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * ProvisionInputs gives values to inputs, all or nothing. A new value replaces the old one
     * completely; a null clears an optional input; an empty array beside items of it clears what was
     * there before them. Files and images arrive by StorageService.
     * INVALID_ARGUMENT: problems with values, all listed (`validate_only` returns them whole in an OK
     * answer). NOT_FOUND: no such run. FAILED_PRECONDITION (RUN_STATE): the run was started.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<org.cytomine.appengine.v1.ProvisionInputsResponse> provisionInputs(
        org.cytomine.appengine.v1.ProvisionInputsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getProvisionInputsMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * StartRun puts the run into the queue. Starting a started run is OK and changes nothing.
     * NOT_FOUND: no such run. FAILED_PRECONDITION: inputs are missing or incomplete, all listed; or the
     * run has ended. RESOURCE_EXHAUSTED: the disk is nearly full.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<org.cytomine.appengine.v1.StartRunResponse> startRun(
        org.cytomine.appengine.v1.StartRunRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getStartRunMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * CancelRun asks the run to stop and answers at once. The task gets SIGTERM, and SIGKILL after a
     * grace time. Cancelling a run that is cancelled or being cancelled is OK.
     * NOT_FOUND: no such run. FAILED_PRECONDITION (RUN_STATE): it has SUCCEEDED or FAILED.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<org.cytomine.appengine.v1.CancelRunResponse> cancelRun(
        org.cytomine.appengine.v1.CancelRunRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCancelRunMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * RetryRun makes a new run with the same task and inputs and starts it.
     * NOT_FOUND: no such run, or its task is gone. FAILED_PRECONDITION (RUN_STATE): the run has not
     * ended. ABORTED (REQUEST_ID_REUSED): the `request_id` was used for another request.
     * RESOURCE_EXHAUSTED: the disk is nearly full.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<org.cytomine.appengine.v1.RetryRunResponse> retryRun(
        org.cytomine.appengine.v1.RetryRunRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getRetryRunMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * DeleteRun removes the run with its files, logs and containers. NOT_FOUND: no such run.
     * FAILED_PRECONDITION (RUN_STATE): it was started and has not ended: cancel it first.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<org.cytomine.appengine.v1.DeleteRunResponse> deleteRun(
        org.cytomine.appengine.v1.DeleteRunRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getDeleteRunMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * GetRun answers one run. NOT_FOUND: no such run. INVALID_ARGUMENT: the id is malformed.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<org.cytomine.appengine.v1.GetRunResponse> getRun(
        org.cytomine.appengine.v1.GetRunRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetRunMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * ListRuns answers runs, newest first, page by page.
     * INVALID_ARGUMENT: a page token of another query, or a bad filter.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<org.cytomine.appengine.v1.ListRunsResponse> listRuns(
        org.cytomine.appengine.v1.ListRunsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListRunsMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * GetRunInputs answers the inputs with their values, in the order of the descriptor.
     * NOT_FOUND: no such run. INVALID_ARGUMENT: an unknown parameter, or a page token of another query.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<org.cytomine.appengine.v1.GetRunInputsResponse> getRunInputs(
        org.cytomine.appengine.v1.GetRunInputsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetRunInputsMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * GetRunOutputs answers the outputs of a run that SUCCEEDED, in the order of the descriptor; large
     * arrays page by page. Errors as GetRunInputs; FAILED_PRECONDITION (RUN_STATE): the run has not
     * SUCCEEDED. What a failed task left behind is in StorageService.ListFiles.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<org.cytomine.appengine.v1.GetRunOutputsResponse> getRunOutputs(
        org.cytomine.appengine.v1.GetRunOutputsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetRunOutputsMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_CREATE_RUN = 0;
  private static final int METHODID_PROVISION_INPUTS = 1;
  private static final int METHODID_START_RUN = 2;
  private static final int METHODID_CANCEL_RUN = 3;
  private static final int METHODID_RETRY_RUN = 4;
  private static final int METHODID_DELETE_RUN = 5;
  private static final int METHODID_GET_RUN = 6;
  private static final int METHODID_LIST_RUNS = 7;
  private static final int METHODID_WATCH_RUN = 8;
  private static final int METHODID_WATCH_RUNS = 9;
  private static final int METHODID_TAIL_LOGS = 10;
  private static final int METHODID_GET_RUN_INPUTS = 11;
  private static final int METHODID_GET_RUN_OUTPUTS = 12;

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
        case METHODID_CREATE_RUN:
          serviceImpl.createRun((org.cytomine.appengine.v1.CreateRunRequest) request,
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.CreateRunResponse>) responseObserver);
          break;
        case METHODID_PROVISION_INPUTS:
          serviceImpl.provisionInputs((org.cytomine.appengine.v1.ProvisionInputsRequest) request,
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.ProvisionInputsResponse>) responseObserver);
          break;
        case METHODID_START_RUN:
          serviceImpl.startRun((org.cytomine.appengine.v1.StartRunRequest) request,
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.StartRunResponse>) responseObserver);
          break;
        case METHODID_CANCEL_RUN:
          serviceImpl.cancelRun((org.cytomine.appengine.v1.CancelRunRequest) request,
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.CancelRunResponse>) responseObserver);
          break;
        case METHODID_RETRY_RUN:
          serviceImpl.retryRun((org.cytomine.appengine.v1.RetryRunRequest) request,
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.RetryRunResponse>) responseObserver);
          break;
        case METHODID_DELETE_RUN:
          serviceImpl.deleteRun((org.cytomine.appengine.v1.DeleteRunRequest) request,
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.DeleteRunResponse>) responseObserver);
          break;
        case METHODID_GET_RUN:
          serviceImpl.getRun((org.cytomine.appengine.v1.GetRunRequest) request,
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.GetRunResponse>) responseObserver);
          break;
        case METHODID_LIST_RUNS:
          serviceImpl.listRuns((org.cytomine.appengine.v1.ListRunsRequest) request,
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.ListRunsResponse>) responseObserver);
          break;
        case METHODID_WATCH_RUN:
          serviceImpl.watchRun((org.cytomine.appengine.v1.WatchRunRequest) request,
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.WatchRunResponse>) responseObserver);
          break;
        case METHODID_WATCH_RUNS:
          serviceImpl.watchRuns((org.cytomine.appengine.v1.WatchRunsRequest) request,
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.WatchRunsResponse>) responseObserver);
          break;
        case METHODID_TAIL_LOGS:
          serviceImpl.tailLogs((org.cytomine.appengine.v1.TailLogsRequest) request,
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.TailLogsResponse>) responseObserver);
          break;
        case METHODID_GET_RUN_INPUTS:
          serviceImpl.getRunInputs((org.cytomine.appengine.v1.GetRunInputsRequest) request,
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.GetRunInputsResponse>) responseObserver);
          break;
        case METHODID_GET_RUN_OUTPUTS:
          serviceImpl.getRunOutputs((org.cytomine.appengine.v1.GetRunOutputsRequest) request,
              (io.grpc.stub.StreamObserver<org.cytomine.appengine.v1.GetRunOutputsResponse>) responseObserver);
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
          getCreateRunMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.CreateRunRequest,
              org.cytomine.appengine.v1.CreateRunResponse>(
                service, METHODID_CREATE_RUN)))
        .addMethod(
          getProvisionInputsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.ProvisionInputsRequest,
              org.cytomine.appengine.v1.ProvisionInputsResponse>(
                service, METHODID_PROVISION_INPUTS)))
        .addMethod(
          getStartRunMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.StartRunRequest,
              org.cytomine.appengine.v1.StartRunResponse>(
                service, METHODID_START_RUN)))
        .addMethod(
          getCancelRunMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.CancelRunRequest,
              org.cytomine.appengine.v1.CancelRunResponse>(
                service, METHODID_CANCEL_RUN)))
        .addMethod(
          getRetryRunMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.RetryRunRequest,
              org.cytomine.appengine.v1.RetryRunResponse>(
                service, METHODID_RETRY_RUN)))
        .addMethod(
          getDeleteRunMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.DeleteRunRequest,
              org.cytomine.appengine.v1.DeleteRunResponse>(
                service, METHODID_DELETE_RUN)))
        .addMethod(
          getGetRunMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.GetRunRequest,
              org.cytomine.appengine.v1.GetRunResponse>(
                service, METHODID_GET_RUN)))
        .addMethod(
          getListRunsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.ListRunsRequest,
              org.cytomine.appengine.v1.ListRunsResponse>(
                service, METHODID_LIST_RUNS)))
        .addMethod(
          getWatchRunMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.WatchRunRequest,
              org.cytomine.appengine.v1.WatchRunResponse>(
                service, METHODID_WATCH_RUN)))
        .addMethod(
          getWatchRunsMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.WatchRunsRequest,
              org.cytomine.appengine.v1.WatchRunsResponse>(
                service, METHODID_WATCH_RUNS)))
        .addMethod(
          getTailLogsMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.TailLogsRequest,
              org.cytomine.appengine.v1.TailLogsResponse>(
                service, METHODID_TAIL_LOGS)))
        .addMethod(
          getGetRunInputsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.GetRunInputsRequest,
              org.cytomine.appengine.v1.GetRunInputsResponse>(
                service, METHODID_GET_RUN_INPUTS)))
        .addMethod(
          getGetRunOutputsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              org.cytomine.appengine.v1.GetRunOutputsRequest,
              org.cytomine.appengine.v1.GetRunOutputsResponse>(
                service, METHODID_GET_RUN_OUTPUTS)))
        .build();
  }

  private static abstract class RunServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    RunServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return org.cytomine.appengine.v1.RunServiceProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("RunService");
    }
  }

  private static final class RunServiceFileDescriptorSupplier
      extends RunServiceBaseDescriptorSupplier {
    RunServiceFileDescriptorSupplier() {}
  }

  private static final class RunServiceMethodDescriptorSupplier
      extends RunServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    RunServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (RunServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new RunServiceFileDescriptorSupplier())
              .addMethod(getCreateRunMethod())
              .addMethod(getProvisionInputsMethod())
              .addMethod(getStartRunMethod())
              .addMethod(getCancelRunMethod())
              .addMethod(getRetryRunMethod())
              .addMethod(getDeleteRunMethod())
              .addMethod(getGetRunMethod())
              .addMethod(getListRunsMethod())
              .addMethod(getWatchRunMethod())
              .addMethod(getWatchRunsMethod())
              .addMethod(getTailLogsMethod())
              .addMethod(getGetRunInputsMethod())
              .addMethod(getGetRunOutputsMethod())
              .build();
        }
      }
    }
    return result;
  }
}
