import { createCursor, enter, leave, LENGTH, readTag, skip, spend, type Cursor } from './wire.ts';

/**
 * A request cut at the borders of its spans or log records: what belongs together goes together, and no piece is larger than asked for.
 * It works on bytes, without decoding a span: only trace ids are looked at. What is around a span (resource, scope, schema URLs, and
 * fields that this code does not know) goes with every piece, byte by byte.
 *
 * Requests of traces and of logs have one shape: groups by resource (field 1), in them groups by scope (2), in them the items (2).
 */
export type Signal = 'traces' | 'logs';

export type Piece<Place> = { readonly place: Place; readonly body: Uint8Array };

export type Split<Place> = {
  readonly pieces: readonly Piece<Place>[];
  /** Spans or records that no piece takes, since they alone are larger than one may be. */
  readonly oversized: number;
};

/** Field of the trace id in a span, and in a log record. */
const TRACE_ID_FIELD: Readonly<Record<Signal, number>> = { traces: 1, logs: 9 };
const TRACE_ID_BYTES = 16;
/** Tag and length of a nested message: one byte, and at most five. */
const HEADER_BYTES = 6;

type Range = { readonly from: number; readonly to: number };
type Item<Place> = Range & { readonly place: Place };
type Scope<Place> = { readonly around: readonly Range[]; readonly items: readonly Item<Place>[] };
type Group<Place> = { readonly around: readonly Range[]; readonly scopes: readonly Scope<Place>[] };

/**
 * @param placeOf where the spans of a trace belong, by the lower-case hex of its id; null where an item has none (or one of a wrong length).
 * @param maxBytes of a piece.
 * Throws PermanentError where the body is no such request.
 */
export function splitRequest<Place>(request: { readonly signal: Signal; readonly body: Uint8Array }, placeOf: (traceId: string | null) => Place, maxBytes: number): Split<Place> {
  const cursor = createCursor(request.body);
  const groups = readGroups(cursor, placeOf, TRACE_ID_FIELD[request.signal]);
  const places = new Set<Place>();
  for (const { scopes } of groups) for (const { items } of scopes) for (const { place } of items) places.add(place);
  const [only] = places;
  // Most requests need no cutting, and are not copied.
  if (places.size === 1 && only !== undefined && request.body.byteLength <= maxBytes) return { pieces: [{ place: only, body: request.body }], oversized: 0 };
  const pieces: Piece<Place>[] = [];
  let oversized = 0;
  for (const place of places) oversized += cut(cursor.bytes, groups, place, maxBytes, pieces);
  return { pieces, oversized };
}

function readGroups<Place>(cursor: Cursor, placeOf: (traceId: string | null) => Place, traceIdField: number): Group<Place>[] {
  return readMessage(cursor, 'request', 1, (resourceGroup) => {
    const scopes: Scope<Place>[] = [];
    const around = readAround(resourceGroup, 'resource group', (scopeGroup) => {
      const items: Item<Place>[] = [];
      const aroundItems = readAround(scopeGroup, 'scope group', (item, from) => {
        items.push({ from, to: item.end, place: placeOf(readTraceId(item, traceIdField)) });
      });
      if (items.length > 0) scopes.push({ around: aroundItems, items });
    });
    return { around, scopes };
  });
}

/** Reads each nested message of one field; whatever else there is is stepped over. */
function readMessage<Result>(cursor: Cursor, name: string, field: number, read: (cursor: Cursor) => Result): Result[] {
  const results: Result[] = [];
  while (cursor.position < cursor.end) {
    const tag = readTag(cursor, name);
    if (tag !== ((field << 3) | LENGTH)) {
      skip(cursor, tag, name, []);
      continue;
    }
    const outer = enter(cursor, name);
    results.push(read(cursor));
    leave(cursor, outer);
  }
  return results;
}

/** Reads each nested message of field 2, and answers where everything else lies. `from`: where its tag begins. */
function readAround(cursor: Cursor, name: string, read: (cursor: Cursor, from: number) => void): Range[] {
  const around: Range[] = [];
  while (cursor.position < cursor.end) {
    const from = cursor.position;
    const tag = readTag(cursor, name);
    if (tag === ((2 << 3) | LENGTH)) {
      spend(cursor, name);
      const outer = enter(cursor, name);
      read(cursor, from);
      leave(cursor, outer);
    } else {
      skip(cursor, tag, name, []);
      around.push({ from, to: cursor.position });
    }
  }
  return around;
}

function readTraceId(item: Cursor, field: number): string | null {
  while (item.position < item.end) {
    const tag = readTag(item, 'item');
    if (tag !== ((field << 3) | LENGTH)) {
      skip(item, tag, 'item', []);
      continue;
    }
    const outer = enter(item, 'trace_id');
    const id = item.end - item.position === TRACE_ID_BYTES ? item.bytes.toString('hex', item.position, item.end) : null;
    leave(item, outer);
    return id;
  }
  return null;
}

/** Writes the pieces of one place. Answers how many items are too large for any. */
function cut<Place>(bytes: Buffer, groups: readonly Group<Place>[], place: Place, maxBytes: number, pieces: Piece<Place>[]): number {
  let oversized = 0;
  let body: Buffer[] = [];
  let bodyBytes = 0;
  const finish = (): void => {
    if (body.length > 0) pieces.push({ place, body: Buffer.concat(body) });
    body = [];
    bodyBytes = 0;
  };
  for (const { around, scopes } of groups) {
    let ofGroup: Buffer[] = [];
    const closeGroup = (): void => {
      if (ofGroup.length > 0) body.push(...nested(1, [...slices(bytes, around), ...ofGroup]));
      ofGroup = [];
    };
    const groupBytes = HEADER_BYTES + sizeOf(around);
    let isGroupOpen = false;
    for (const { around: aroundItems, items } of scopes) {
      const scopeBytes = HEADER_BYTES + sizeOf(aroundItems);
      let ofScope: Buffer[] = [];
      const closeScope = (): void => {
        if (ofScope.length > 0) ofGroup.push(...nested(2, [...slices(bytes, aroundItems), ...ofScope]));
        ofScope = [];
      };
      for (const item of items) {
        if (item.place !== place) continue;
        const itemBytes = item.to - item.from;
        if (groupBytes + scopeBytes + itemBytes > maxBytes) {
          oversized += 1;
          continue;
        }
        let needed = itemBytes + (ofScope.length === 0 ? scopeBytes : 0) + (isGroupOpen ? 0 : groupBytes);
        if (bodyBytes > 0 && bodyBytes + needed > maxBytes) {
          closeScope();
          closeGroup();
          finish();
          needed = itemBytes + scopeBytes + groupBytes;
        }
        isGroupOpen = true;
        ofScope.push(bytes.subarray(item.from, item.to));
        bodyBytes += needed;
      }
      closeScope();
    }
    closeGroup();
  }
  finish();
  return oversized;
}

function sizeOf(ranges: readonly Range[]): number {
  return ranges.reduce((sum, { from, to }) => sum + to - from, 0);
}

function slices(bytes: Buffer, ranges: readonly Range[]): Buffer[] {
  return ranges.map(({ from, to }) => bytes.subarray(from, to));
}

function nested(field: number, parts: readonly Buffer[]): Buffer[] {
  const header: number[] = [(field << 3) | LENGTH];
  let rest = parts.reduce((sum, part) => sum + part.byteLength, 0);
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) header.push((rest % 128) | 0x80);
  header.push(rest);
  return [Buffer.from(header), ...parts];
}
