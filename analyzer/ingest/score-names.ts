import type { Score, ScoreDataType } from '../../schemas/score.ts';

/**
 * A score name is a metric, and a metric has one type: the one that is configured, else that of the name's first score in
 * the project. A score of another type is kept and shown, flagged, and not compared: a share of passes and a mean of
 * stars are no one number. What can be said in the name's type without loss is: 0 and 1 where it is boolean, and where it is
 * categorical the label, also where that is a usual word for good or bad.
 *
 * Names are limited, because somebody will put a request id into one.
 */
export type ScoreNames = {
  /** The score in its name's type, or flagged. */
  admit(score: Score): Score;
  restore(known: readonly ScoreName[]): void;
  /** Names met since the last time, to be written. */
  takeNew(): ScoreName[];
};

export type ScoreName = { readonly project: string; readonly name: string; readonly data_type: ScoreDataType; readonly first_seen_ms: number };

export type ConfiguredType = (name: string) => ScoreDataType | null;

const MOST_NAMES = 10_000;

export function createScoreNames(configured: ConfiguredType): ScoreNames {
  const types = new Map<string, Map<string, ScoreDataType>>();
  let met: ScoreName[] = [];
  const ofProject = (project: string): Map<string, ScoreDataType> => {
    let names = types.get(project);
    if (names === undefined) types.set(project, (names = new Map()));
    return names;
  };
  return {
    admit(score) {
      // A correction by id does not say its name, and a failed evaluation no type.
      if (score.change !== 'judgement' || (score.value === null && score.data_type !== 'categorical')) return score;
      const names = ofProject(score.project);
      const type = configured(score.name) ?? names.get(score.name);
      if (type !== undefined) return inType(score, type);
      if (names.size >= MOST_NAMES) return flagged(score, 'name_over_limit');
      names.set(score.name, score.data_type);
      met.push({ project: score.project, name: score.name, data_type: score.data_type, first_seen_ms: score.received_time_ms });
      return score;
    },
    restore(known) {
      for (const { project, name, data_type } of known) {
        const names = ofProject(project);
        if (!names.has(name)) names.set(name, data_type);
      }
    },
    takeNew() {
      const taken = met;
      met = [];
      return taken;
    },
  };
}

function inType(score: Score, type: ScoreDataType): Score {
  if (score.data_type === type) return score;
  switch (type) {
    case 'boolean':
      return score.value === 0 || score.value === 1 ? { ...score, data_type: 'boolean' } : flagged(score, 'type_conflict');
    case 'categorical':
      return score.label !== null && score.data_type === 'boolean' ? { ...score, value: null, data_type: 'categorical' } : flagged(score, 'type_conflict');
    case 'numeric':
      return flagged(score, 'type_conflict');
  }
}

function flagged(score: Score, flag: string): Score {
  return { ...score, flags: [...score.flags.filter((one) => one !== flag), flag] };
}
