// A client of App Engine, which runs containerised image-analysis tasks.

export { Client, type Options, type RunOptions } from "./client.js";
export { AppEngineError, type Problem } from "./errors.js";
export * as input from "./inputs.js";
export type { Input } from "./inputs.js";
export type { Fetched } from "./download.js";
export { FailureReason, RunState } from "./stubs/appengine/v1/run.js";
export { TaskState } from "./stubs/appengine/v1/task.js";
