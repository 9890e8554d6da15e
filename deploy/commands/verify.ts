import { readFileSync } from 'node:fs';
import { verify } from '../../analyzer/statistics/verify.ts';
import { asError, PermanentError } from '../../schemas/errors.ts';
import { Evidence } from '../../schemas/evidence.ts';
import type { Invocation } from '../main.ts';

/** `culprit verify`: whether the e-value that a file states follows from the strata that it lists. Exit status 1 where it does not. */
export function runVerify({ positionals }: Invocation): Promise<number> {
  if (positionals.length === 0) throw new PermanentError('verify needs an evidence file: culprit verify EVIDENCE.json');
  let status = 0;
  for (const path of positionals) {
    const evidence = readEvidence(path);
    const { agrees, e_value } = verify(evidence);
    const { prompt, candidate, baseline } = evidence.comparison;
    console.log(
      `${path}: ${prompt} ${candidate} against ${baseline}, ${evidence.strata.length} strata: stated ${evidence.e_value.toPrecision(6)}, recomputed ${e_value.toPrecision(6)}: ${agrees ? 'agrees' : 'DOES NOT AGREE'}`,
    );
    if (!agrees) status = 1;
  }
  return Promise.resolve(status);
}

function readEvidence(path: string): Evidence {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new PermanentError(`${path}: cannot be read (${asError(cause).message})`, { cause });
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new PermanentError(`${path}: is not JSON`, { cause });
  }
  const parsed = Evidence.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new PermanentError(`${path}: is not an evidence file (culprit.evidence/1): ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`);
}
