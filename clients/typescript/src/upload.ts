// Sends files on one stream. Unlike the Python, Go and Java clients, it does not resume.

import { once } from "node:events";
import { open, stat, type FileHandle } from "node:fs/promises";

import { crc32c } from "./checksums.js";
import type { Chunk, Entry, FileEnd } from "./stubs/appengine/v1/transfer.js";
import { EntryKind } from "./stubs/appengine/v1/transfer.js";
import type { UploadRequest } from "./stubs/appengine/v1/storage_service.js";
import type { ClientWritableStream } from "@grpc/grpc-js";

const MOST_ENTRIES = 4096; // with 2 MiB of data they keep a message below the 4 MiB of gRPC

/** One file of an upload: a local one, or bytes. */
export type UploadEntry = { path: string } & ({ local: string } | { content: Buffer });

/** Size of all content. */
export async function totalBytes(entries: UploadEntry[]): Promise<bigint> {
  let total = 0n;
  for (const entry of entries) {
    total += BigInt(await sizeOf(entry));
  }
  return total;
}

async function sizeOf(entry: UploadEntry): Promise<number> {
  return "content" in entry ? entry.content.length : (await stat(entry.local)).size;
}

/** Write all messages of an upload, as fast as they are taken. */
export async function sendAll(
  stream: ClientWritableStream<UploadRequest>,
  begin: NonNullable<UploadRequest["begin"]>,
  entries: UploadEntry[],
  chunkBytes: number,
): Promise<void> {
  const empty = { begin: undefined, chunk: undefined, finish: undefined };
  const write = async (message: UploadRequest): Promise<void> => {
    if (!stream.write(message)) {
      await once(stream, "drain");
    }
  };
  await write({ ...empty, begin });
  const chunker = new Chunker(chunkBytes);
  for await (const chunk of chunker.chunks(entries)) {
    await write({ ...empty, chunk });
  }
  await write({ ...empty, finish: { end: chunker.place } });
  stream.end();
}

/** Packs files into chunks: many small ones into one, one large into many. */
class Chunker {
  place = { bytes: 0n, entries: 0n };
  #entries: Entry[] = [];
  #ends: FileEnd[] = [];
  #parts: Buffer[] = [];
  #size = 0;

  constructor(readonly chunkBytes: number) {}

  async *chunks(entries: UploadEntry[]): AsyncGenerator<Chunk> {
    for (const [index, entry] of entries.entries()) {
      const size = await sizeOf(entry);
      const isFull = this.#size === this.chunkBytes || this.#entries.length === MOST_ENTRIES;
      if (isFull) {
        yield this.#close();
      }
      this.#entries.push({
        index: BigInt(index),
        path: entry.path,
        kind: EntryKind.ENTRY_KIND_FILE,
        sizeBytes: BigInt(size),
        mode: 0,
        linkTarget: "",
      });
      let crc = 0;
      const reader = await Reader.open(entry);
      try {
        for (let left = size; left > 0; ) {
          if (this.#size === this.chunkBytes) {
            yield this.#close();
          }
          const part = await reader.read(Math.min(left, this.chunkBytes - this.#size));
          crc = crc32c(part, crc);
          this.#parts.push(part);
          this.#size += part.length;
          left -= part.length;
        }
      } finally {
        await reader.close();
      }
      this.#ends.push({ index: BigInt(index), crc32c: crc, digest: undefined });
    }
    if (this.#size + this.#entries.length > 0) {
      yield this.#close();
    }
  }

  #close(): Chunk {
    const data = Buffer.concat(this.#parts);
    const { bytes, entries } = this.place;
    const chunk = {
      place: this.place,
      crc32c: crc32c(data),
      entries: this.#entries,
      ends: this.#ends,
      data,
    };
    this.place = {
      bytes: bytes + BigInt(data.length),
      entries: entries + BigInt(this.#entries.length),
    };
    this.#entries = [];
    this.#ends = [];
    this.#parts = [];
    this.#size = 0;
    return chunk;
  }
}

/** Reads one file in order. */
class Reader {
  #position = 0;

  private constructor(
    readonly content: Buffer | undefined,
    readonly handle: FileHandle | undefined,
    readonly path: string,
  ) {}

  static async open(entry: UploadEntry): Promise<Reader> {
    return "content" in entry
      ? new Reader(entry.content, undefined, entry.path)
      : new Reader(undefined, await open(entry.local), entry.local);
  }

  async read(length: number): Promise<Buffer> {
    if (this.handle === undefined) {
      const part = this.content!.subarray(this.#position, this.#position + length);
      this.#position += length;
      return part;
    }
    const { bytesRead, buffer } = await this.handle.read(Buffer.allocUnsafe(length), 0, length);
    if (bytesRead === 0) {
      throw new Error(`${this.path} became shorter while it was sent`);
    }
    return buffer.subarray(0, bytesRead);
  }

  async close(): Promise<void> {
    await this.handle?.close();
  }
}
