// crc32c, by which every chunk and every file of a transfer is checked.

const POLYNOMIAL = 0x82f63b78; // its bits in reverse

const TABLES = tables();

/** The crc32c of what had `crc`, followed by `data`. */
export function crc32c(data: Uint8Array, crc = 0): number {
  const [t0, t1, t2, t3] = TABLES;
  let state = ~crc;
  let index = 0;
  for (const end = data.length - (data.length % 4); index < end; index += 4) {
    state ^=
      data[index]! | (data[index + 1]! << 8) | (data[index + 2]! << 16) | (data[index + 3]! << 24);
    state =
      t3[state & 0xff]! ^ t2[(state >>> 8) & 0xff]! ^ t1[(state >>> 16) & 0xff]! ^ t0[state >>> 24]!;
  }
  for (; index < data.length; index++) {
    state = t0[(state ^ data[index]!) & 0xff]! ^ (state >>> 8);
  }
  return ~state >>> 0;
}

/** What four bytes do to a checksum at once: a table for each. */
function tables(): [Int32Array, Int32Array, Int32Array, Int32Array] {
  const first = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let state = byte;
    for (let bit = 0; bit < 8; bit++) {
      state = state & 1 ? (state >>> 1) ^ POLYNOMIAL : state >>> 1;
    }
    first[byte] = state;
  }
  const next = (before: Int32Array): Int32Array =>
    before.map((state) => first[state & 0xff]! ^ (state >>> 8));
  const second = next(first);
  const third = next(second);
  return [first, second, third, next(third)];
}
