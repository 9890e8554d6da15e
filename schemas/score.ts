/** One quality judgement of a call. It may arrive before its span, with it, or long after. */
export type Score = {
  project: string;
  /** Derived from target, name and judge (or the sender's own id), so that a second delivery is the same score. */
  score_id: string;
  name: string;
  /** Finite, or null where the judgement is only a label or failed. */
  value: number | null;
  label: string | null;
  data_type: 'numeric' | 'boolean' | 'categorical';
  explanation: string | null;
  evaluator: string | null;
  /** Set where the evaluation itself failed: then there is no value, and nothing is tested. */
  error_type: string | null;
  /** The span that is judged, where the wire names it; else null. */
  trace_id: string | null;
  span_id: string | null;
  response_id: string | null;
  observed_time_ns: string;
  received_time_ms: number;
};
