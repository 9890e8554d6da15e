import type { Answer } from './answer.ts';

/** Nothing came back: no text but blanks, no tool call, no other part. Null where the answer is not on the wire. */
export function isEmpty(answer: Answer | null): boolean | null {
  if (answer === null) return null;
  if (answer.hasOtherPart || answer.texts.some((text) => text.trim() !== '')) return false;
  return answer.isRedacted ? null : true;
}

/**
 * Is every choice's whole text JSON? Asked only where JSON was asked for. A Markdown fence around it is no JSON: a service
 * that asked for JSON parses the text as it comes, so a version that begins to fence its answers breaks it, and that is
 * what this signal is for. Null where there is no text to judge (a tool call, or content is not captured).
 */
export function isFormatValid(answer: Answer | null, asksJson: 'asks_json' | 'asks_text'): boolean | null {
  if (asksJson === 'asks_text' || answer === null || answer.isRedacted || answer.texts.length === 0) return null;
  return answer.texts.every(isJson);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
