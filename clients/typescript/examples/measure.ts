// Runs the example task `measure` on a picture, and fetches what it measured.
//
//   node dist/examples/measure.js SERVER measure.zip crop.png crop.geojson RESULTS OUTLINE.geojson…

import { readFile } from "node:fs/promises";

import { AppEngineError, Client, FailureReason, input, RunState, TaskState } from "../src/index.js";

const TASK = "org.cytomine.examples.measure:1.0.0";

async function main(): Promise<void> {
  const [server, bundle, picture, region, folder, ...outlines] = process.argv.slice(2);
  if (!server || !bundle || !picture || !region || !folder) {
    throw new Error("give SERVER, BUNDLE, PICTURE, REGION, RESULTS and the OUTLINES: see the README");
  }
  const client = new Client({ server });
  try {
    await install(client, bundle);
    const texts = await Promise.all(outlines.map((path) => readFile(path, "utf8")));
    const run = await client.createRun(
      TASK,
      {
        picture: input.crop(picture, region),
        acquired_at: input.datetime(new Date()),
        title: input.string("An annotated crop"),
        annotations: input.array(texts.map(input.geometry)),
        labels: input.array(texts.map(() => input.enumeration("other"))),
        documents: input.array(outlines.map(input.file)),
      },
      { start: true, labels: { by: "the TypeScript example" } },
    );
    await follow(client, run.id);
    await fetchOutputs(client, run.id, folder);
  } finally {
    client.close();
  }
}

/** Upload the task unless the server has it. */
async function install(client: Client, bundle: string): Promise<void> {
  try {
    const task = await client.uploadTask(bundle);
    if (task.state !== TaskState.TASK_STATE_READY) {
      throw new Error(task.failure?.message);
    }
  } catch (error) {
    if (!(error instanceof AppEngineError && error.reason === "TASK_EXISTS")) {
      throw error;
    }
  }
}

/** Show the states of the run until its end. */
async function follow(client: Client, runId: string): Promise<void> {
  let shown: RunState | undefined;
  for await (const { event } of client.watch(runId)) {
    if (event !== undefined && event.state !== shown) {
      shown = event.state; // other changes, such as an input that came, leave it as it is
      console.log(RunState[shown]);
    }
  }
  const run = await client.run(runId);
  if (run.state !== RunState.RUN_STATE_SUCCEEDED) {
    const { failure } = run;
    throw new Error(
      failure === undefined
        ? "the run was cancelled"
        : `the run failed: ${FailureReason[failure.reason]}: ${failure.message}`,
    );
  }
}

async function fetchOutputs(client: Client, runId: string, folder: string): Promise<void> {
  for await (const { parameter, value } of client.outputs(runId)) {
    if (parameter === "summary" && value?.kind?.$case === "string") {
      console.log("summary:", value.kind.value);
    }
  }
  console.log("log:");
  for await (const piece of client.logs(runId)) {
    process.stdout.write(piece);
  }
  const fetched = await client.downloadOutputs(runId, folder);
  console.log(`${fetched.files} files are in ${folder}`);
}

main().catch((error: unknown) => {
  const isPlain = error instanceof Error && !(error instanceof AppEngineError);
  console.error("error:", isPlain ? error.message : String(error));
  process.exitCode = 1;
});
