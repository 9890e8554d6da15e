import { noExamples, type FaultKind } from './fault.ts';

/** Messages that could not be stored and wait for somebody who mends why (schemas/parking.ts). */
export const parkedFault: FaultKind = {
  name: 'parked',
  normal: 'no message is parked',
  calmMs: 60_000,
  gone: 'none is parked any more: replayed, or past its time',
  async find({ store }) {
    const projects = await store.select<{ project: string; messages: number; sum_records: number; first_ms: number; last_reason: string }>(
      `SELECT project, count() AS messages, sum(parked.records) AS sum_records, min(parked.changed_ms) AS first_ms, argMax(reason, (parked.changed_ms, parked_id)) AS last_reason
       FROM parked FINAL WHERE state = 'parked' GROUP BY project ORDER BY project LIMIT 100`,
    );
    return projects.map(({ project, messages, sum_records, first_ms, last_reason }) => ({
      project,
      environment: null,
      prompt: null,
      subject: 'parked',
      observed: sum_records,
      allowed: 0,
      sinceMs: first_ms,
      summary: `${messages === 1 ? 'a message' : `${messages.toLocaleString('en-US')} messages`} could not be stored and ${messages === 1 ? 'is' : 'are'} kept aside`,
      advice: `Their senders were told and do not send them again. The last one: ${last_reason.slice(0, 300).toWellFormed()}. Once that is mended (mostly by an update), take them again with "culprit parked --replay": those whose bodies are kept, which takes content: stored, and for as long as message content is (retention.content_days).`,
      examples: noExamples,
    }));
  },
};
