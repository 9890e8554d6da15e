/**
 * The connection to /v1/events. An event only says that there is something new, so a view reads again; at most every 1.5 s, and
 * once more when the connection comes back, because nothing is replayed. A view that is slow to read (a day of a million calls
 * takes 2 s) is read less often: a fifth of the time at most.
 */
const quietMs = 1500;
const lostAfterMs = 16_000;

export function createLive({ onChange, onState }) {
  let timer = null;
  let waitMs = quietMs;
  let lastHeardMs = 0;
  let behindMs = null;
  let state = 'connecting';
  let kinds = new Set();

  const tell = (next) => {
    const isNew = next !== state;
    state = next;
    onState({ state, behindMs, isNew });
  };
  const changed = (kind) => {
    kinds.add(kind);
    timer ??= setTimeout(async () => {
      const heard = kinds;
      kinds = new Set();
      const beganMs = performance.now();
      await onChange(heard);
      waitMs = Math.max(quietMs, (performance.now() - beganMs) * 4);
      timer = null;
      if (kinds.size > 0) changed([...kinds][0]);
    }, waitMs);
  };

  const source = new EventSource('/v1/events');
  let isFirst = true;
  source.addEventListener('open', () => {
    if (!isFirst) changed('reconnected');
    isFirst = false;
  });
  source.addEventListener('status', (event) => {
    lastHeardMs = performance.now();
    behindMs = JSON.parse(event.data).behind_ms;
    tell('live');
  });
  for (const kind of ['calls', 'look', 'alert']) source.addEventListener(kind, () => changed(kind));
  source.addEventListener('error', () => tell('lost'));
  setInterval(() => {
    if (state === 'live' && performance.now() - lastHeardMs > lostAfterMs) tell('lost');
  }, 2000);
}
