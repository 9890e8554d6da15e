import type { SeenInference } from './nesting.ts';

/** Which services are told of by more than one library. Where there is but one, which is nearly everywhere, no two spans are one inference, and nothing has to be looked up, nor filed to be found. */
export type Libraries = {
  see(inference: SeenInference): void;
  /** Or it is not known. */
  areSeveral(inference: SeenInference): boolean;
};

const MOST_SERVICES = 10_000;

export function createLibraries(): Libraries {
  /** By project and service; null: several. */
  const known = new Map<string, Map<string, string | null>>();
  let services = 0;
  return {
    see({ project, service_name, scope_name }) {
      let ofProject = known.get(project);
      if (ofProject === undefined) known.set(project, (ofProject = new Map()));
      const before = ofProject.get(service_name);
      if (before === scope_name || before === null || services >= MOST_SERVICES) return;
      if (before === undefined) services += 1;
      ofProject.set(service_name, before === undefined ? scope_name : null);
    },
    areSeveral: ({ project, service_name }) => services >= MOST_SERVICES || known.get(project)?.get(service_name) === null,
  };
}
