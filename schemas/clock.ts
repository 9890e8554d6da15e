/** Milliseconds since the Unix epoch. `deploy` passes the wall clock; replay the event clock; tests their own. */
export type Clock = () => number;

/** Uniform in [0, 1). `deploy` passes Math.random; tests a seeded one. Only back-off jitter and generated traffic use it. */
export type RandomSource = () => number;
