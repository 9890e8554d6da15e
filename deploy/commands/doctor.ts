import { publicUrlOf } from '../../schemas/config.ts';
import { serverAddress } from '../asking.ts';
import { examineDirectory } from '../doctor/embedded.ts';
import type { Finding } from '../doctor/finding.ts';
import { examineServer } from '../doctor/server.ts';
import type { Invocation } from '../main.ts';

/**
 * `culprit doctor`: looks at everything that this configuration stands on, and says what is wrong and what mends it. It changes nothing. Which mode it is,
 * the settings say: brokers or a ClickHouse server, else the embedded store.
 *
 * Exit status 1 where something is wrong.
 */
export async function runDoctor({ config, flags, environment }: Invocation): Promise<number> {
  const findings: Finding[] = [];
  const named = flags['--server'];
  const key = environment['CULPRIT_API_KEY'];
  const isDistributed = config.kafka.brokers.length > 0 || config.clickhouse.url !== undefined;
  if (typeof named === 'string') {
    findings.push(...(await examineServer(serverAddress(named), { key, clock: Date.now, config })));
  } else if (isDistributed) {
    if (config.kafka.brokers.length > 0) findings.push(...(await (await import('../doctor/kafka.ts')).examineKafka(config)));
    if (config.clickhouse.url !== undefined) findings.push(...(await (await import('../doctor/clickhouse.ts')).examineClickHouse(config, Date.now)));
  } else {
    const directory = await examineDirectory(config, Date.now());
    findings.push(...directory.findings);
    if (directory.isHeld) findings.push(...(await examineServer(publicUrlOf(config), { key, clock: Date.now, config })));
  }
  const isWrong = findings.some(({ state }) => state === 'wrong');
  if (flags['--json'] === true) console.log(JSON.stringify({ ok: !isWrong, findings }, null, 2));
  else for (const finding of findings) console.log(lineOf(finding));
  return isWrong ? 1 : 0;
}

const WORDS: Readonly<Record<Finding['state'], string>> = { ok: 'ok   ', watch: 'watch', wrong: 'WRONG' };

function lineOf({ check, state, found, fix }: Finding): string {
  return `${WORDS[state]}  ${check}: ${found}${fix === null ? '' : ` → ${fix}`}`;
}
