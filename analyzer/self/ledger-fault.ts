import { LEDGER } from '../../schemas/ledger.ts';
import { noExamples, type FaultKind } from './fault.ts';

/**
 * What was received is not what became of it. What waits is counted as stored in these rows (api/ledger.ts shows it apart), and a batch writes
 * its rows of the ledger in one insert, so that a difference is never only a batch that is under way.
 */
export const ledgerFault: FaultKind = {
  name: 'ledger',
  normal: 'received = stored + duplicate + ignored + rejected + waiting',
  calmMs: 2 * 60_000,
  gone: 'the ledger balances again',
  async find({ store, nowMs }) {
    const projects = await store.select<{ project: string; difference: number; hour_s: number }>(
      `SELECT project, sum(of_hour) AS difference, toUnixTimestamp(maxIf(hour, of_hour != 0)) AS hour_s
       FROM (SELECT project, hour, sumIf(count, outcome = 'received') - sumIf(count, outcome != 'received') AS of_hour FROM ${LEDGER} GROUP BY project, hour)
       GROUP BY project HAVING difference != 0 ORDER BY project LIMIT 100`,
    );
    return projects.map(({ project, difference, hour_s }) => {
      const observed = Math.abs(difference);
      const records = `${observed.toLocaleString('en-US')} ${observed === 1 ? 'record' : 'records'}`;
      return {
        project,
        environment: null,
        prompt: null,
        subject: 'ledger',
        observed,
        allowed: 0,
        sinceMs: Math.min(nowMs, hour_s * 1000),
        summary: `the ledger does not balance: ${records} ${difference > 0 ? 'received and not accounted for' : 'accounted for and not received'}`,
        advice: 'Records may have been lost or counted twice: compare /v1/ledger with what was sent in the hours in which it differs (by_hour). A restart counts a batch again that a crash left without its ledger; please report what it does not heal.',
        examples: noExamples,
      };
    });
  },
};
