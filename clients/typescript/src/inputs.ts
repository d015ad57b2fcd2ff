// What an input of a run takes: a value, a file to upload, or an array of these.

import { NullValue } from "./stubs/google/protobuf/struct.js";
import { InputPart } from "./stubs/appengine/v1/storage_service.js";
import type { Value } from "./stubs/appengine/v1/value.js";
import type { UploadEntry } from "./upload.js";

/** A local file, with the GeoJSON file that says where it was cropped from if there is one. */
export interface LocalFile {
  path: string;
  companion: string | undefined;
}

/** An input. Nothing is converted between kinds, except that an integer is a valid number. */
export type Input =
  | { is: "value"; value: Value }
  | { is: "file"; file: LocalFile }
  | { is: "array"; items: Input[] };

const value = (kind: NonNullable<Value["kind"]>): Input => ({ is: "value", value: { kind } });

export const boolean = (given: boolean): Input => value({ $case: "boolean", value: given });
export const integer = (given: bigint | number): Input =>
  value({ $case: "integer", value: BigInt(given) });
export const number = (given: number): Input => value({ $case: "number", value: given });
export const string = (given: string): Input => value({ $case: "string", value: given });
/** One of the texts that the task lists. */
export const enumeration = (given: string): Input => value({ $case: "enumeration", value: given });
/** A moment: a Date, or a text with its zone, such as `2024-05-01T12:00:00+02:00`. */
export const datetime = (given: Date | string): Input => {
  const text = typeof given === "string" ? given : given.toISOString();
  return value({ $case: "datetime", value: { text, instant: undefined } });
};
/** One GeoJSON object: a text is kept byte for byte. */
export const geometry = (given: string | object): Input =>
  value({ $case: "geometry", value: typeof given === "string" ? given : JSON.stringify(given) });
/** A file or folder of a dataset that the server has: used in place, never copied. */
export const reference = (path: string): Input =>
  value({ $case: "dataset", value: { path, pattern: "" } });
/** Clears an optional input. */
export const none = (): Input => value({ $case: "null", value: NullValue.NULL_VALUE });
/** A local file to upload as a file or image. */
export const file = (path: string): Input => ({ is: "file", file: { path, companion: undefined } });
/** A local image with the GeoJSON file that says where in a larger one it was cropped from. */
export const crop = (path: string, companion: string): Input => ({
  is: "file",
  file: { path, companion },
});
/** An array of values, or of files, or of arrays. */
export const array = (items: Input[]): Input => ({ is: "array", items });

/** One upload that provisions an input. */
export interface PlannedUpload {
  part: InputPart;
  entries: UploadEntry[];
}

/** Whether there is a file to upload in it, at any depth. */
export function hasFiles(given: Input): boolean {
  return given.is === "file" || (given.is === "array" && given.items.some(hasFiles));
}

/** An input without files as a value. */
export function toValue(given: Input): Value {
  switch (given.is) {
    case "value":
      return given.value;
    case "array":
      return { kind: { $case: "array", value: { items: given.items.map(toValue) } } };
    case "file":
      throw new TypeError("a file is uploaded, it is no value");
  }
}

/** The uploads of a file, an image, or an array of them. */
export function uploadsOf(name: string, given: Input): PlannedUpload[] {
  const items: UploadEntry[] = [];
  const companions: UploadEntry[] = [];
  addEntries(name, given, items, companions);
  if (given.is === "array") {
    // Companions of items lie beside them.
    return [{ part: InputPart.INPUT_PART_WHOLE, entries: [...items, ...companions] }];
  }
  const uploads = [{ part: InputPart.INPUT_PART_WHOLE, entries: items }];
  if (companions.length > 0) {
    uploads.push({ part: InputPart.INPUT_PART_COMPANION, entries: companions });
  }
  return uploads;
}

function addEntries(
  path: string,
  given: Input,
  items: UploadEntry[],
  companions: UploadEntry[],
): void {
  switch (given.is) {
    case "value":
      throw new TypeError(`${path}: an array with files to upload may hold no other values`);
    case "array":
      items.push({ path: `${path}/array.yml`, content: Buffer.from(`size: ${given.items.length}\n`) });
      given.items.forEach((item, index) => addEntries(`${path}/${index}`, item, items, companions));
      break;
    case "file":
      items.push({ path, local: given.file.path });
      if (given.file.companion !== undefined) {
        companions.push({ path: `${path}.geojson`, local: given.file.companion });
      }
  }
}
