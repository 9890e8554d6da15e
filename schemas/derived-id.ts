import { createHash } from 'node:crypto';

/** The same for the same thing: what is written again after a crash, or by another instance, is written over and not beside. */
export function derivedId(prefix: 'alr' | 'cmp' | 'rbk' | 'rol' | 'sil' | 'slf', named: string): string {
  return `${prefix}_${createHash('sha256').update(named).digest('hex').slice(0, 20)}`;
}
