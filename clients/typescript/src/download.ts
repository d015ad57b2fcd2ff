// Writes what is downloaded into a folder. Nothing that the server says is trusted: paths stay inside,
// and every checksum is tested before a file gets its name.

import { mkdir, mkdtemp, open, readdir, rename, rm, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";

import { crc32c } from "./checksums.js";
import type { DownloadResponse } from "./stubs/appengine/v1/storage_service.js";
import { EntryKind, type Chunk, type Entry } from "./stubs/appengine/v1/transfer.js";

/** What a download brought. */
export interface Fetched {
  /** The entries that are new in the folder, sorted. */
  names: string[];
  bytes: bigint;
  files: number;
}

/**
 * Write a download into a folder, which is made when it is missing. The stream is opened when all is
 * ready for it: an error of one that nobody listens to would end the process.
 */
export async function receive(
  begin: () => AsyncIterable<DownloadResponse>,
  folder: string,
): Promise<Fetched> {
  await mkdir(folder, { recursive: true });
  const parts = await mkdtemp(join(folder, ".appengine-incoming-"));
  const writer = new TreeWriter(join(parts, "new"));
  try {
    await mkdir(join(parts, "new"));
    await mkdir(join(parts, "old"));
    for await (const message of begin()) {
      await writer.apply(message);
    }
    writer.finish();
    const names = (await readdir(join(parts, "new"))).sort();
    for (const name of names) {
      await replace(join(parts, "new", name), join(folder, name), join(parts, "old", name));
    }
    return { names, bytes: writer.bytes, files: writer.files };
  } finally {
    await writer.close();
    await rm(parts, { recursive: true });
  }
}

async function replace(from: string, to: string, old: string): Promise<void> {
  try {
    await rename(to, old);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") {
      throw error;
    }
  }
  await rename(from, to);
}

class TreeWriter {
  bytes = 0n;
  files = 0;
  #entries = 0n;
  #end: { bytes: bigint; entries: bigint } | undefined;
  #growing: { entry: Entry; handle: FileHandle; rest: number; crc: number } | undefined;
  #unended = new Map<bigint, { path: string; crc: number }>();

  constructor(readonly folder: string) {}

  /** Write one message. */
  async apply(message: DownloadResponse): Promise<void> {
    this.#end = message.header?.end ?? this.#end;
    if (message.chunk !== undefined) {
      await this.#write(message.chunk);
    }
  }

  /** Check that everything has come. */
  finish(): void {
    const isWhole = this.#end?.bytes === this.bytes && this.#end.entries === this.#entries;
    if (!isWhole) {
      throw new Error("the download ended before its end");
    }
    for (const { path } of this.#unended.values()) {
      throw new Error(`the server did not end the file ${path} with its checksum`);
    }
  }

  async close(): Promise<void> {
    await this.#growing?.handle.close();
    this.#growing = undefined;
  }

  async #write(chunk: Chunk): Promise<void> {
    if (crc32c(chunk.data) !== chunk.crc32c) {
      throw new Error("a chunk of the download has a wrong checksum");
    }
    let rest = await this.#fill(chunk.data);
    for (const entry of chunk.entries) {
      if (entry.index >= this.#entries) {
        await this.#begin(entry);
        this.#entries = entry.index + 1n;
        rest = await this.#fill(rest);
      }
    }
    for (const end of chunk.ends) {
      const known = this.#unended.get(end.index);
      if (known !== undefined && known.crc !== end.crc32c) {
        throw new Error(`the file ${known.path} does not match its checksum`);
      }
      this.#unended.delete(end.index);
    }
    this.bytes += BigInt(chunk.data.length);
  }

  async #begin(entry: Entry): Promise<void> {
    if (entry.path.split("/").some((part) => ["", ".", ".."].includes(part) || part.includes("\0"))) {
      throw new Error(`the server sent the unsafe path ${entry.path}`);
    }
    const local = join(this.folder, entry.path);
    switch (entry.kind) {
      case EntryKind.ENTRY_KIND_FOLDER:
        await mkdir(local, { recursive: true });
        break;
      case EntryKind.ENTRY_KIND_FILE: {
        await mkdir(dirname(local), { recursive: true });
        const mode = entry.mode & 0o111 ? 0o777 : 0o666;
        const handle = await open(local, "wx", mode);
        this.files += 1;
        this.#growing = { entry, handle, rest: Number(entry.sizeBytes), crc: 0 };
        await this.#complete();
        break;
      }
      default:
        throw new Error(`${entry.path} is a link, which this client does not fetch`);
    }
  }

  /** Write what belongs to the file that is open, and answer the rest. */
  async #fill(data: Buffer): Promise<Buffer> {
    if (this.#growing === undefined || data.length === 0) {
      return data;
    }
    const part = data.subarray(0, this.#growing.rest);
    await this.#growing.handle.appendFile(part);
    this.#growing.crc = crc32c(part, this.#growing.crc);
    this.#growing.rest -= part.length;
    await this.#complete();
    return data.subarray(part.length);
  }

  async #complete(): Promise<void> {
    const whole = this.#growing;
    if (whole !== undefined && whole.rest === 0) {
      this.#growing = undefined;
      await whole.handle.close();
      this.#unended.set(whole.entry.index, { path: whole.entry.path, crc: whole.crc });
    }
  }
}
