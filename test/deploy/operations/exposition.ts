/** The value of one series in Prometheus's text format; null where it is not there. The label of the role is left out. */
export function valueOf(text: string, name: string, labels: Readonly<Record<string, string>>): number | null {
  for (const line of text.split('\n')) {
    const found = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (found?.[1] !== name) continue;
    const pairs = Object.fromEntries([...(found[2] ?? '').matchAll(/(\w+)="((?:\\.|[^"\\])*)"/g)].map(([, label = '', value = '']) => [label, value]));
    delete pairs['role'];
    if (Object.keys(pairs).length === Object.keys(labels).length && Object.entries(labels).every(([label, value]) => pairs[label] === value)) return Number(found[3]);
  }
  return null;
}
