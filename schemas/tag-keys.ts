import { z } from 'zod';

/** Attribute names of a project's own. Each list is tried in its order, on the span and then on its resource, before everything that is known. */
const OwnKeys = z.array(z.string().min(1).max(256)).max(16).default([]);

export const TagKeys = z.strictObject({
  prompt_name: OwnKeys.describe("Your own attributes that hold the prompt's name. They win over all others."),
  prompt_version: OwnKeys.describe("Your own attributes that hold the prompt's version."),
  prompt_label: OwnKeys.describe("Your own attributes that hold the prompt's label (production, canary)."),
  session: OwnKeys.describe('Your own attributes that hold the session.'),
  user: OwnKeys.describe('Your own attributes that hold the user. It is stored as a hash.'),
});
export type TagKeys = z.infer<typeof TagKeys>;
