// What a server refuses, with all that it says about it.

import { Metadata, status as Code, type ServiceError } from "@grpc/grpc-js";

import {
  BadRequest,
  ErrorInfo,
  PreconditionFailure,
  RetryInfo,
} from "./stubs/google/rpc/error_details.js";
import { Status } from "./stubs/google/rpc/status.js";

const DETAILS = "grpc-status-details-bin";

/** One thing that is wrong with a request, a value or a descriptor. */
export interface Problem {
  /** Where, such as `inputs.threshold`; empty where it is the whole. */
  path: string;
  /** Stable identifier such as NOT_INTEGER. */
  reason: string;
  /** A sentence for people. */
  message: string;
}

/** What came back from a call: the server refused it, or cannot be reached. */
export class AppEngineError extends Error {
  /** Stable identifier such as RUN_STATE; empty where the server gave none. */
  reason = "";
  /** Every problem that the server named. */
  problems: Problem[] = [];
  /** Facts that belong to the reason. */
  fields: Record<string, string> = {};
  /** When to try again, as the server says. */
  retryAfterSeconds: number | undefined;

  constructor(
    /** The gRPC status, a number of `status` in @grpc/grpc-js. */
    readonly code: Code,
    message: string,
  ) {
    super(message);
    this.name = "AppEngineError";
  }

  /** Name of the gRPC status, such as NOT_FOUND. */
  get status(): string {
    return Code[this.code];
  }

  /** The message, with a line for each problem that it does not say itself. */
  override toString(): string {
    const others = this.problems.filter(({ message }) => message !== this.message);
    return [this.message, ...others.map(({ path, message }) => `  ${path}: ${message}`)].join("\n");
  }

  /** Whether the same call may succeed when it is made again. */
  get isPassing(): boolean {
    return this.code === Code.UNAVAILABLE || this.retryAfterSeconds !== undefined;
  }
}

/** The error of this library for one of gRPC. */
export function translated(error: unknown, target: string): unknown {
  if (!isServiceError(error)) {
    return error;
  }
  const [packed] = error.metadata?.get(DETAILS) ?? [];
  if (!(packed instanceof Buffer)) {
    return new AppEngineError(error.code, sentence(error, target));
  }
  const status = Status.decode(packed);
  const refusal = new AppEngineError(error.code, status.message);
  for (const detail of status.details) {
    add(refusal, detail.typeUrl.slice(detail.typeUrl.lastIndexOf(".") + 1), detail.value);
  }
  return refusal;
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && "metadata" in error &&
    error.metadata instanceof Metadata;
}

function sentence(error: ServiceError, target: string): string {
  switch (error.code) {
    case Code.UNAVAILABLE:
      return `the server ${target} cannot be reached: ${cause(error.details)}. ` +
        "See whether it runs, and whether this is its address";
    case Code.DEADLINE_EXCEEDED:
      return `the server ${target} did not answer in time`;
    default:
      return error.details;
  }
}

/** What gRPC says of a connection that could not be made, without its own preface. */
function cause(details: string): string {
  return details.replace(/^.*Last error: (Error: )?/, "").replace(/\.? *Resolution note: *$/, "");
}

function add(refusal: AppEngineError, kind: string, value: Buffer): void {
  switch (kind) {
    case "ErrorInfo": {
      const info = ErrorInfo.decode(value);
      refusal.reason = info.reason;
      refusal.fields = info.metadata;
      break;
    }
    case "BadRequest":
      for (const one of BadRequest.decode(value).fieldViolations) {
        refusal.problems.push({ path: one.field, reason: one.reason, message: one.description });
      }
      break;
    case "PreconditionFailure":
      for (const one of PreconditionFailure.decode(value).violations) {
        refusal.problems.push({ path: one.subject, reason: one.type, message: one.description });
      }
      break;
    case "RetryInfo": {
      const delay = RetryInfo.decode(value).retryDelay;
      refusal.retryAfterSeconds = Number(delay?.seconds ?? 0n) + (delay?.nanos ?? 0) / 1e9;
      break;
    }
  }
}
