import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PermanentError, RetryableError } from '../../schemas/errors.ts';
import { parsedRows, type JsonStore } from '../../deploy/json-rows.ts';

/**
 * What every adapter of the store must do, in process or over the network.
 *
 * `open` gives a store whose database may hold tables already; the suite makes its own, named contract_…, and drops them.
 * SELECTs of the opened store must be limited to a few seconds (`maxSelectSeconds`).
 */
export function storeContract(name: string, open: () => Promise<{ store: JsonStore; maxSelectSeconds: number; close: () => Promise<void> }>): void {
  describe(`store: ${name}`, () => {
    let opened: Awaited<ReturnType<typeof open>>;
    let store: JsonStore;
    let tables = 0;

    /** Makes a table of the suite's own and returns its name. */
    const table = async (columns: string, engine = 'MergeTree ORDER BY tuple()'): Promise<string> => {
      tables += 1;
      await store.command(`DROP TABLE IF EXISTS contract_${tables}`);
      await store.command(`CREATE TABLE contract_${tables} (${columns}) ENGINE = ${engine}`);
      return `contract_${tables}`;
    };

    beforeAll(async () => {
      opened = await open();
      store = opened.store;
    });
    afterAll(async () => {
      for (let index = 1; index <= tables; index += 1) await store.command(`DROP TABLE IF EXISTS contract_${index}`);
      await opened.close();
    });

    it('gives back every type of column that the schema uses, with and without a value', async () => {
      const into = await table(`
        id UInt8, text String, word LowCardinality(String), maybe_word LowCardinality(Nullable(String)), maybe_text Nullable(String),
        at DateTime('UTC'), nanoseconds UInt64, slot UInt32, revision UInt16, small Int16, is_error Bool, maybe Nullable(Bool),
        ttft_ms Nullable(Float32), tokens Nullable(UInt32), value Nullable(Float64), e_value Float64,
        attributes Map(LowCardinality(String), LowCardinality(String)), metrics Map(LowCardinality(String), Float64),
        flags Array(LowCardinality(String)), bins Array(Int16), counts Array(UInt32),
        total SimpleAggregateFunction(sum, UInt64)`);
      const full = {
        id: 1, text: 'text', word: 'word', maybe_word: 'perhaps', maybe_text: '',
        at: '2026-06-01 08:52:10', nanoseconds: '1780303930123456789', slot: 4_294_967_295, revision: 65_535, small: -32_768, is_error: true, maybe: false,
        ttft_ms: 0.25, tokens: 0, value: 1e-300, e_value: 1.5e300,
        attributes: { 'app.route': '/refund', 'gen_ai.agent.name': '' }, metrics: { error_rate: 5210.25, quality: 0.8 },
        flags: ['clock_skew', 'unit_corrected'], bins: [-3, 0, 7], counts: [0, 4_294_967_295],
        total: 9_007_199_254_740_991,
      };
      const empty = {
        ...full, id: 2, text: '', word: '', maybe_word: null, maybe_text: null, maybe: null, is_error: false, ttft_ms: null, tokens: null, value: null,
        attributes: {}, metrics: {}, flags: [], bins: [], counts: [],
      };
      await store.insert(into, [full, empty]);
      const rows = await store.select(`SELECT * REPLACE (toString(nanoseconds) AS nanoseconds) FROM ${into} ORDER BY id`);
      expect(rows).toEqual([full, empty]);
      // And the same as the engine wrote them.
      expect(parsedRows(await store.selectJson(`SELECT * REPLACE (toString(nanoseconds) AS nanoseconds) FROM ${into} WHERE id <= {most:UInt8} ORDER BY id`, { most: 2 }))).toEqual([full, empty]);
      expect(parsedRows(await store.selectJson(`SELECT * FROM ${into} WHERE id > 2`))).toEqual([]);
    });

    it('takes epoch digits as text for a date', async () => {
      const into = await table(`at DateTime('UTC')`);
      await store.insert(into, [{ at: '1780303930' }]);
      expect(await store.select(`SELECT at FROM ${into}`)).toEqual([{ at: '2026-06-01 08:52:10' }]);
    });

    it('fills columns that a row leaves out with their defaults', async () => {
      const into = await table(`a UInt8, b String DEFAULT 'none', c Nullable(UInt8)`);
      await store.insert(into, [{ a: 1 }]);
      expect(await store.select(`SELECT * FROM ${into}`)).toEqual([{ a: 1, b: 'none', c: null }]);
    });

    it.each(awkwardTexts)('keeps %s as it is', async (_, text) => {
      const into = await table('text String, words Array(String), map Map(String, String)');
      await store.insert(into, [{ text, words: [text, text], map: { [text]: text } }, { text: 'next row', words: [], map: {} }]);
      const expected = text.replace(/\p{Surrogate}/gu, '\uFFFD');
      expect(await store.select(`SELECT * FROM ${into} WHERE text != 'next row'`)).toEqual([{ text: expected, words: [expected, expected], map: { [expected]: expected } }]);
      expect(await store.select(`SELECT count() AS rows FROM ${into}`)).toEqual([{ rows: 2 }]);
      expect(await store.select(`SELECT count() AS rows FROM ${into} WHERE text = {text:String} AND has(words, {text:String})`, { text })).toEqual([{ rows: 1 }]);
    });

    it('keeps any text, in rows and as a parameter', async () => {
      const into = await table('run UInt32, text String');
      let run = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(fc.string({ unit: 'binary', maxLength: 40 }), { minLength: 1, maxLength: 30 }), async (texts) => {
          run += 1;
          await store.insert(into, texts.map((text) => ({ run, text })));
          const rows = await store.select<{ text: string }>(`SELECT text FROM ${into} WHERE run = {run:UInt32} AND has({texts:Array(String)}, text)`, { run, texts });
          expect(rows.map((row) => row.text).sort()).toEqual([...texts].sort());
        }),
        { numRuns: 60 },
      );
    });

    it('reads parameters of every type that queries use', async () => {
      const parameters = { text: "a'b", word: 'w', number: 42, big: 9_007_199_254_740_993n, real: 0.1, yes: true, none: null, texts: ["x'", 'y\\', '\t'], numbers: [1, 2], empty: [] };
      const sql = `SELECT {text:String} AS text, {word:LowCardinality(String)} AS word, {number:UInt32} AS number, toString({big:UInt64}) AS big, {real:Float64} AS real,
        {yes:Bool} AS yes, {none:Nullable(String)} AS none, {texts:Array(String)} AS texts, {numbers:Array(UInt64)} AS numbers, {empty:Array(String)} AS empty`;
      expect(await store.select(sql, parameters)).toEqual([{ ...parameters, big: '9007199254740993' }]);
    });

    it.each(injections)('never reads the parameter %s as SQL', async (attempt) => {
      const into = await table('project String');
      await store.insert(into, [{ project: 'ours' }, { project: 'theirs' }]);
      expect(await store.select(`SELECT project FROM ${into} WHERE project = {project:String}`, { project: attempt })).toEqual([]);
      expect(await store.select(`SELECT count() AS rows FROM ${into}`)).toEqual([{ rows: 2 }]);
    });

    it('refuses a query whose parameter has no value, even where an earlier query had one', async () => {
      expect(await store.select('SELECT {project:String} AS project', { project: 'ours' })).toEqual([{ project: 'ours' }]);
      for (let attempt = 0; attempt < 5; attempt += 1) await expect(store.select('SELECT {project:String} AS project')).rejects.toBeInstanceOf(PermanentError);
      await expect(store.select('SELECT {number:UInt8} AS number', { number: 'x' })).rejects.toBeInstanceOf(PermanentError);
    });

    it('gives 64-bit integers as numbers', async () => {
      expect(await store.select('SELECT toUInt64(1780303930123) AS ms, toInt64(-5) AS small, count() AS rows FROM numbers(3)')).toEqual([{ ms: 1_780_303_930_123, small: -5, rows: 3 }]);
    });

    it('does nothing for no rows', async () => {
      const into = await table('a UInt8');
      await store.insert(into, []);
      expect(await store.select(`SELECT * FROM ${into}`)).toEqual([]);
    });

    it('takes nothing of an insert that does not fit, and says that it never will', async () => {
      const into = await table('a UInt8, b String');
      for (const bad of [{ a: 1, unknown: 1 }, { a: 'text' }, { a: -1 }, { a: 1.5 }, { b: null }]) {
        await expect(store.insert(into, [{ a: 7, b: 'good' }, bad]), JSON.stringify(bad)).rejects.toBeInstanceOf(PermanentError);
      }
      await expect(store.insert('contract_missing', [{ a: 1 }])).rejects.toBeInstanceOf(PermanentError);
      expect(await store.select(`SELECT * FROM ${into}`)).toEqual([]);
      await store.insert(into, [{ a: 7, b: 'good' }]);
      expect(await store.select(`SELECT * FROM ${into}`)).toEqual([{ a: 7, b: 'good' }]);
    });

    // chDB kept the rows of a SELECT that failed half way, and gave them to the next one on the same connection.
    it('gives nothing of a SELECT that failed half way to a later one', async () => {
      for (let attempt = 0; attempt < 5; attempt += 1) {
        await expect(store.select('SELECT number AS n, throwIf(number = 300000) AS fail FROM numbers(1000000)')).rejects.toThrow('throwIf');
        expect(await Promise.all([1, 2, 3, 4].map((n) => store.select(`SELECT ${n} AS n`)))).toEqual([1, 2, 3, 4].map((n) => [{ n }]));
      }
    });

    it('says of a statement that is wrong that it always will be', async () => {
      await expect(store.select('SELEKT 1')).rejects.toBeInstanceOf(PermanentError);
      await expect(store.select('SELECT missing FROM numbers(1)')).rejects.toBeInstanceOf(PermanentError);
      await expect(store.command('CREATE TABLE')).rejects.toBeInstanceOf(PermanentError);
    });

    it('keeps the newest revision of a row, whatever came first', async () => {
      const into = await table('project String, id String, revision UInt16, value String', 'ReplacingMergeTree(revision) ORDER BY (project, id)');
      await store.insert(into, [{ project: 'p', id: 'a', revision: 1, value: 'complete' }]);
      await store.insert(into, [{ project: 'p', id: 'a', revision: 0, value: 'provisional' }, { project: 'p', id: 'b', revision: 0, value: 'provisional' }]);
      await store.insert(into, [{ project: 'p', id: 'b', revision: 2, value: 'sent again' }]);
      await store.insert(into, [{ project: 'p', id: 'b', revision: 2, value: 'sent again' }]);
      const expected = [{ id: 'a', value: 'complete' }, { id: 'b', value: 'sent again' }];
      expect(await store.select(`SELECT id, value FROM ${into} FINAL ORDER BY id`)).toEqual(expected);
      await store.command(`OPTIMIZE TABLE ${into} FINAL`);
      expect(await store.select(`SELECT id, value FROM ${into} ORDER BY id`)).toEqual(expected);
    });

    it('sums what an aggregating table was given in pieces', async () => {
      const into = await table('reason String, count SimpleAggregateFunction(sum, UInt64), last SimpleAggregateFunction(max, UInt64)', 'AggregatingMergeTree ORDER BY reason');
      await store.insert(into, [{ reason: 'not_llm', count: 3, last: 5 }]);
      await store.insert(into, [{ reason: 'not_llm', count: 4, last: 2 }]);
      expect(await store.select(`SELECT reason, sum(count) AS count, max(last) AS last FROM ${into} GROUP BY reason`)).toEqual([{ reason: 'not_llm', count: 7, last: 5 }]);
    });

    it('takes inserts from many callers at once, and queries between them', async () => {
      const into = await table('caller UInt16, row UInt16');
      await Promise.all(
        Array.from({ length: 40 }, async (_, caller) => {
          await store.insert(into, Array.from({ length: 25 }, (__, row) => ({ caller, row })));
          // Its own rows are there as soon as the insert has resolved.
          expect(await store.select(`SELECT count() AS rows FROM ${into} WHERE caller = {caller:UInt16}`, { caller })).toEqual([{ rows: 25 }]);
        }),
      );
      expect(await store.select(`SELECT count() AS rows, uniqExact(caller, row) AS distinct FROM ${into}`)).toEqual([{ rows: 1000, distinct: 1000 }]);
    });

    it('keeps inserts of all sizes apart, and those that fail out', async () => {
      const into = await table('round UInt8, caller UInt16, text String');
      const textOf = (caller: number): string => `${caller} `.repeat(1 + (caller % 50));
      const rowsOf = (caller: number): number => 1 + ((caller * 37) % 200);
      for (const round of [1, 2]) {
        await Promise.all(
          Array.from({ length: 40 }, async (_, caller) => {
            const rows = Array.from({ length: rowsOf(caller) }, () => ({ round, caller, text: textOf(caller) }));
            if (caller % 7 === 6) await expect(store.insert(into, [...rows, { round, caller, nothing: 1 }])).rejects.toBeInstanceOf(PermanentError);
            else await store.insert(into, rows);
          }),
        );
      }
      const found = await store.select<{ caller: number }>(`SELECT caller, text, countIf(round = 1) AS first, countIf(round = 2) AS second FROM ${into} GROUP BY caller, text ORDER BY caller`);
      expect(found).toEqual(Array.from({ length: 40 }, (_, caller) => ({ caller, text: textOf(caller), first: rowsOf(caller), second: rowsOf(caller) })).filter(({ caller }) => caller % 7 !== 6));
    });

    it('takes 50,000 rows in one insert', async () => {
      const into = await table('id UInt32, text String');
      await store.insert(into, Array.from({ length: 50_000 }, (_, id) => ({ id, text: `row ${id} `.repeat(20) })));
      expect(await store.select(`SELECT count() AS rows, uniqExact(id) AS distinct, sum(length(text)) AS bytes FROM ${into}`)).toEqual([
        { rows: 50_000, distinct: 50_000, bytes: Array.from({ length: 50_000 }, (_, id) => `row ${id} `.length * 20).reduce((sum, length) => sum + length, 0) },
      ]);
    });

    it('ends a SELECT that passes its time limit, and lets inserts through meanwhile', async () => {
      const into = await table('a UInt8');
      const began = performance.now();
      const slow = store.select('SELECT count() AS n FROM numbers(100000000000000) WHERE sipHash64(number) = 1');
      await store.insert(into, [{ a: 1 }]);
      expect(performance.now() - began).toBeLessThan(opened.maxSelectSeconds * 1000);
      await expect(slow).rejects.toBeInstanceOf(RetryableError);
      expect(performance.now() - began).toBeLessThan(opened.maxSelectSeconds * 1000 + 5000);
      expect(await store.select(`SELECT a FROM ${into}`)).toEqual([{ a: 1 }]);
    });

    it.each(writes)('never writes or leaves the store from a SELECT: %s', async (_, sql) => {
      const into = await table('a UInt8');
      await expect(store.select(sql.replaceAll('TABLE_NAME', into))).rejects.toBeInstanceOf(PermanentError);
      expect(await store.select(`SELECT count() AS rows FROM ${into}`)).toEqual([{ rows: 0 }]);
    });
  });
}

const awkwardTexts: [string, string][] = [
  ['a format clause', "FORMAT Values ('x'); INSERT INTO contract_1 FORMAT JSONEachRow {}"],
  ['a semicolon at the end of a line', 'first;\nsecond;\n\nthird'],
  ['quotes', `'"\`''""\\'\\"`],
  ['braces', '{"a":{b:String}}} {{'],
  ['control characters', Array.from({ length: 32 }, (_, code) => String.fromCharCode(code)).join('')],
  ['a NUL in the middle', 'before\0after'],
  ['line separators', 'a\r\nb\u2028c\u2029d\u0085e'],
  ['emoji', '👩🏽‍🚀 🇨🇭'],
  ['a comment', '-- not a comment\n/* nor this */ # nor this'],
  ['backslashes', '\\N \\t \\\\ \\u0041 \\'],
  ['an unpaired high surrogate', 'a\uD83Db'],
  ['an unpaired low surrogate at the end', 'a\uDE00'],
  ['two surrogates the wrong way round', '\uDE00\uD83D'],
  ['a byte order mark', '\uFEFFtext'],
  ['one megabyte', `x'"\\é`.repeat(200_000)],
];

const injections = [`' OR 1 = 1 --`, `ours' --`, `\\' OR 1=1 --`, `x'; DROP TABLE contract_1; SELECT '`, `') OR ('1' = '1`, `{project:String}`, `ours\0`, `ours'/*`];

const writes: [string, string][] = [
  ['a second statement', 'SELECT 1 AS a; INSERT INTO TABLE_NAME VALUES (1)'],
  ['an insert', 'INSERT INTO TABLE_NAME SELECT 1'],
  ['a drop', 'DROP TABLE TABLE_NAME'],
  ['limits lifted by SET', 'SET max_execution_time = 0'],
  ['limits lifted by SETTINGS', 'SELECT 1 AS a SETTINGS max_execution_time = 0'],
  ['a file read', `SELECT * FROM file('/etc/hostname', 'LineAsString')`],
  ['a file written', `SELECT 1 AS a INTO OUTFILE '/tmp/contract-outfile.txt'`],
  ['an address fetched', `SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')`],
];
