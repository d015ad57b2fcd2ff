-- The time of the statement that makes an event, and not that of its transaction, which may have waited
-- for a lock before: what came first has the earlier time.
ALTER TABLE run_events ALTER COLUMN at SET DEFAULT statement_timestamp();
