-- Two who change an alert at the same moment may take the same sequence number: both rows stay, told apart by what they say.
ALTER TABLE alert_transitions {{on_cluster}}
    ADD COLUMN IF NOT EXISTS said String COMMENT 'transition_id, which is derived from all that the transition says; empty before this column was there',
    MODIFY ORDER BY (alert_id, sequence, said);
