// One connection to one server, and what can be done over it.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

import {
  credentials,
  Metadata,
  type CallOptions,
  type ChannelCredentials,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ServiceError,
} from "@grpc/grpc-js";

import { receive, type Fetched } from "./download.js";
import { AppEngineError, translated } from "./errors.js";
import { hasFiles, toValue, uploadsOf, type Input } from "./inputs.js";
import type { Run } from "./stubs/appengine/v1/run.js";
import {
  RunServiceClient,
  type ParameterValue,
  type WatchRunResponse,
} from "./stubs/appengine/v1/run_service.js";
import {
  StorageServiceClient,
  type Resource,
  type StartUploadRequest,
  type Upload,
  type UploadResponse,
} from "./stubs/appengine/v1/storage_service.js";
import type { Task } from "./stubs/appengine/v1/task.js";
import { TaskServiceClient, type TaskName } from "./stubs/appengine/v1/task_service.js";
import { sendAll, totalBytes, type UploadEntry } from "./upload.js";

const CALL_SECONDS = 60;
const TRIES = 4;
const CHUNK_BYTES = 2 << 20;
const MOST_ITEMS = 10_000;
const SILENCE_SECONDS = 300;

/** Where the server is and who calls it. What is missing comes from the environment. */
export interface Options {
  /** `HOST:PORT` or `https://HOST:PORT`; APPENGINE_SERVER, or 127.0.0.1:8080. */
  server?: string | undefined;
  /** Sent with every call; APPENGINE_TOKEN. */
  token?: string | undefined;
  /** A PEM file with the authority of the server's certificate; APPENGINE_CA_FILE. */
  caFile?: string | undefined;
  /** Where tasks and runs are made; APPENGINE_PROJECT, or the caller's default one. */
  project?: string | undefined;
}

/** More about a new run. */
export interface RunOptions {
  labels?: Record<string, string>;
  start?: boolean;
}

type Unary<Q, A> = (
  request: Q,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: A) => void,
) => ClientUnaryCall;

/** Talks to one server. Calls are tried again where that helps; uploads and downloads are not. */
export class Client {
  /** The API itself. */
  readonly tasks: TaskServiceClient;
  readonly runs: RunServiceClient;
  readonly storage: StorageServiceClient;
  readonly #target: string;
  readonly #token: string;
  readonly #project: string;

  constructor(options: Options = {}) {
    const server = options.server ?? process.env["APPENGINE_SERVER"] ?? "127.0.0.1:8080";
    const caFile = options.caFile ?? process.env["APPENGINE_CA_FILE"];
    this.#token = options.token ?? process.env["APPENGINE_TOKEN"] ?? "";
    this.#project = options.project ?? process.env["APPENGINE_PROJECT"] ?? "";
    this.#target = server.replace(/^\w+:\/\//, "").replace(/\/.*$/, "");
    const chosen = transport(server.startsWith("https:"), caFile);
    const settings = {
      "grpc.max_receive_message_length": 4 << 20,
      "grpc.keepalive_time_ms": 30_000,
      "grpc.max_reconnect_backoff_ms": 5_000,
    };
    this.tasks = new TaskServiceClient(this.#target, chosen, settings);
    this.runs = new RunServiceClient(this.#target, chosen, settings);
    this.storage = new StorageServiceClient(this.#target, chosen, settings);
  }

  close(): void {
    this.tasks.close();
    this.runs.close();
    this.storage.close();
  }

  /** Make one call, with retries: it must be one that may be repeated, or have a request id. */
  async call<Q, A>(method: Unary<Q, A>, request: Q): Promise<A> {
    for (let failures = 1; ; failures++) {
      try {
        return await this.#once(method, request);
      } catch (error) {
        if (!(error instanceof AppEngineError && error.isPassing) || failures === TRIES) {
          throw error;
        }
        await pause(failures, error);
      }
    }
  }

  #once<Q, A>(method: Unary<Q, A>, request: Q): Promise<A> {
    const deadline = Date.now() + CALL_SECONDS * 1000;
    return new Promise((resolve, reject) => {
      method(request, this.#metadata(), { deadline }, (error, answer) => {
        if (error === null) {
          resolve(answer);
        } else {
          reject(translated(error, this.#target));
        }
      });
    });
  }

  /** Upload a bundle, make a task of it, and wait until it is READY or FAILED. */
  async uploadTask(bundle: string): Promise<Task> {
    const target = { $case: "taskBundle" as const, value: { project: this.#project } };
    const upload = await this.#upload(target, [{ path: "bundle.zip", local: bundle }]);
    const { task } = await this.call(this.tasks.createTask.bind(this.tasks), {
      requestId: randomUUID(),
      project: this.#project,
      source: { $case: "uploadId", value: upload.id },
      validateOnly: false,
    });
    let newest = task!;
    const request = { task: this.#taskName(newest.id), afterRevision: 0n };
    const open = () => this.tasks.watchTask(request, this.#metadata());
    for await (const change of this.#following(open)) {
      newest = change.task!;
      request.afterRevision = newest.revision;
    }
    return newest;
  }

  /** Make a run of a task (`NAMESPACE:VERSION`, or its id) and give it inputs. */
  async createRun(
    task: string,
    inputs: Record<string, Input>,
    options: RunOptions = {},
  ): Promise<Run> {
    const given = Object.entries(inputs);
    const values = given.filter(([, input]) => !hasFiles(input));
    const files = given.filter(([, input]) => hasFiles(input));
    const answer = await this.call(this.runs.createRun.bind(this.runs), {
      requestId: randomUUID(),
      project: this.#project,
      task: this.#taskName(task),
      labels: options.labels ?? {},
      inputs: values.map(([parameter, input]) => ({ parameter, index: [], value: toValue(input) })),
      start: options.start === true && files.length === 0,
      validateOnly: false,
    });
    let run = answer.run!;
    for (const [parameter, input] of files) {
      for (const { part, entries } of uploadsOf(parameter, input)) {
        const target = { $case: "input" as const, value: { runId: run.id, parameter, part } };
        run = (await this.#upload(target, entries)).run ?? run;
      }
    }
    return options.start === true && files.length > 0 ? this.startRun(run.id) : run;
  }

  /** Put the run into the queue. Starting it twice changes nothing. */
  async startRun(runId: string): Promise<Run> {
    return (await this.call(this.runs.startRun.bind(this.runs), { runId })).run!;
  }

  /** Ask the run to stop, and do not wait until it has. */
  async cancelRun(runId: string): Promise<Run> {
    return (await this.call(this.runs.cancelRun.bind(this.runs), { runId })).run!;
  }

  /** One run. */
  async run(runId: string): Promise<Run> {
    return (await this.call(this.runs.getRun.bind(this.runs), { runId })).run!;
  }

  /** Every change of a run, none left out or twice, also when the connection is cut. */
  async *watch(runId: string, afterRevision = 0n): AsyncGenerator<WatchRunResponse> {
    const request = { runId, afterRevision };
    for await (const change of this.#following(() => this.runs.watchRun(request, this.#metadata()))) {
      request.afterRevision = change.event?.revision ?? request.afterRevision;
      yield change;
    }
  }

  /** The run once it has SUCCEEDED, FAILED or was CANCELLED. */
  async wait(runId: string): Promise<Run> {
    for await (const _ of this.watch(runId)); // it ends after the run's end
    return this.run(runId);
  }

  /** What the task printed, until its attempt has ended. */
  async *logs(runId: string): AsyncGenerator<Buffer> {
    const request = { runId, attempt: 0, cursor: 0n, follow: true };
    for await (const piece of this.#following(() => this.runs.tailLogs(request, this.#metadata()))) {
      request.cursor = piece.nextCursor;
      request.attempt = piece.attempt;
      yield piece.data;
    }
  }

  /** The outputs of a run that SUCCEEDED, in the order of the descriptor; arrays come in parts. */
  async *outputs(runId: string): AsyncGenerator<ParameterValue> {
    const request = { runId, parameter: "", pageSize: MOST_ITEMS, pageToken: "" };
    do {
      const page = await this.call(this.runs.getRunOutputs.bind(this.runs), request);
      yield* page.outputs;
      request.pageToken = page.nextPageToken;
    } while (request.pageToken !== "");
  }

  /** Fetch the outputs of a run that SUCCEEDED, each under its own name. */
  downloadOutputs(runId: string, folder: string): Promise<Fetched> {
    return this.download({ resource: { $case: "runOutputs", value: runId }, path: "" }, folder);
  }

  /** Fetch a resource into a folder. What has the same name there is replaced. */
  async download(resource: Resource, folder: string): Promise<Fetched> {
    const request = { resource, from: undefined, limitBytes: 0n, etag: "" };
    try {
      return await receive(() => this.storage.download(request, this.#metadata()), folder);
    } catch (error) {
      throw translated(error, this.#target);
    }
  }

  async #upload(target: StartUploadRequest["target"], entries: UploadEntry[]): Promise<Upload> {
    const started = await this.call(this.storage.startUpload.bind(this.storage), {
      requestId: randomUUID(),
      target,
      expectedBytes: await totalBytes(entries),
    });
    const begin = { uploadId: started.uploadId, writerId: randomUUID() };
    const chunkBytes = Math.min(started.chunkBytes || CHUNK_BYTES, CHUNK_BYTES);
    const answer = await new Promise<UploadResponse>((resolve, reject) => {
      const stream = this.storage.upload(this.#metadata(), (error, response) => {
        if (error === null) {
          resolve(response);
        } else {
          reject(translated(error, this.#target));
        }
      });
      sendAll(stream, begin, entries, chunkBytes).catch((error: unknown) => {
        stream.cancel();
        reject(error instanceof Error ? error : new Error(String(error)));
      });
    });
    return answer.upload!;
  }

  /** The items of one stream after the other, until one ends well. */
  async *#following<T>(open: () => ClientReadableStream<T>): AsyncGenerator<T> {
    let failures = 0;
    let goodUntil = Date.now() + SILENCE_SECONDS * 1000;
    for (;;) {
      const stream = open();
      try {
        for await (const item of stream) {
          failures = 0;
          goodUntil = Date.now() + SILENCE_SECONDS * 1000;
          yield item as T;
        }
        return;
      } catch (caught) {
        const error = translated(caught, this.#target);
        if (!(error instanceof AppEngineError && error.isPassing) || Date.now() > goodUntil) {
          throw error;
        }
        failures += 1;
        await pause(failures, error);
      } finally {
        stream.cancel();
      }
    }
  }

  #metadata(): Metadata {
    const metadata = new Metadata();
    if (this.#token !== "") {
      metadata.set("authorization", `Bearer ${this.#token}`);
    }
    metadata.set("x-request-id", randomUUID());
    return metadata;
  }

  #taskName(task: string): TaskName {
    const colon = task.lastIndexOf(":");
    return colon < 0
      ? { id: task, project: this.#project, namespace: "", version: "" }
      : {
          id: "",
          project: this.#project,
          namespace: task.slice(0, colon),
          version: task.slice(colon + 1),
        };
  }
}

function transport(usesTls: boolean, caFile: string | undefined): ChannelCredentials {
  if (!usesTls && caFile === undefined) {
    return credentials.createInsecure();
  }
  return credentials.createSsl(caFile === undefined ? null : readFileSync(caFile));
}

async function pause(failures: number, error: AppEngineError): Promise<void> {
  const longest = Math.min(100 * 2 ** Math.min(failures - 1, 16), 5_000);
  await sleep(
    error.retryAfterSeconds === undefined
      ? Math.random() * longest
      : error.retryAfterSeconds * 1000,
  );
}
