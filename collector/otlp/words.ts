/** Bytes that others are compared with, four at a time. */
export type Words = {
  readonly length: number;
  /** The last of them are the last four bytes, some of which may be in the one before. */
  readonly words: Int32Array;
  /** All bytes, where they are fewer than four. */
  readonly few: number;
};

export function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

export function wordsOf(view: DataView, start = 0, length = view.byteLength): Words {
  if (length < 4) return { length, words: new Int32Array(), few: fewAt(view, start, length) };
  return { length, words: Int32Array.from({ length: Math.ceil(length / 4) }, (_, index) => view.getInt32(start + Math.min(index * 4, length - 4), true)), few: 0 };
}

/** Whether they stand at `start`. As many bytes must be there. */
export function isSame({ words, few, length }: Words, view: DataView, start: number): boolean {
  if (length < 4) return fewAt(view, start, length) === few;
  const last = words.length - 1;
  for (let index = 0; index < last; index += 1) if (view.getInt32(start + index * 4, true) !== words[index]) return false;
  return view.getInt32(start + length - 4, true) === words[last];
}

function fewAt(view: DataView, start: number, length: number): number {
  let few = 0;
  for (let at = start; at < start + length; at += 1) few = (few << 8) | view.getUint8(at);
  return few;
}
