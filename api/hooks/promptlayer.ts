import { z } from 'zod';
import { PermanentError } from '../../schemas/errors.ts';
import type { HookSettingsOf } from '../../schemas/hooks.ts';
import { basicsOf } from './basics.ts';
import { addressBelow, readAnswer } from './calling.ts';
import type { Hook } from './index.ts';

/** Moves a release label back: its id is looked up, then `PATCH /prompt-labels/{id} { prompt_version_number }`. Source: PromptLayer, reference/templates-labels-get and reference/prompt-labels-patch. */
const Labels = z.looseObject({ release_labels: z.array(z.looseObject({ release_label: z.string(), release_label_id: z.number().int(), prompt_version_number: z.number().int() })) });

export function createPromptLayerHook(settings: HookSettingsOf<'promptlayer'>): Hook {
  const { label: name, url } = settings;
  const headers = { 'x-api-key': settings.api_key };
  return {
    ...basicsOf(settings),
    describe: ({ prompt, baseline }) => `PATCH /prompt-labels/(${name} of ${prompt}) { prompt_version_number: ${baseline} }`,
    async rollBack({ prompt, baseline }, { call }) {
      if (!/^\d{1,9}$/.test(baseline)) throw new PermanentError(`${baseline} is no version of PromptLayer, which are numbers`);
      const answer = await call({ label: `GET /prompt-templates/${prompt}/labels`, method: 'GET', url: addressBelow(url, 'prompt-templates', prompt, 'labels'), headers });
      const found = readAnswer(Labels, answer, 'the list of labels').release_labels.find(({ release_label }) => release_label === name);
      if (found === undefined) throw new PermanentError(`${prompt} has no release label ${name}`);
      const id = String(found.release_label_id);
      await call({ label: `PATCH /prompt-labels/${id}`, method: 'PATCH', url: addressBelow(url, 'prompt-labels', id), headers, body: { prompt_version_number: Number(baseline) } });
      return `the label ${name} is on version ${baseline}`;
    },
  };
}
