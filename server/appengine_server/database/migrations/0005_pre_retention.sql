-- What retention looks for: runs by when they ended, and those whose failed attempts still have files.
ALTER TABLE runs ADD COLUMN attempts_swept_at timestamptz;
CREATE INDEX runs_ended ON runs (ended_at, id) WHERE ended_at IS NOT NULL;
CREATE INDEX runs_unswept ON runs (ended_at, id)
    WHERE ended_at IS NOT NULL AND attempts_swept_at IS NULL
      AND (outputs_attempt IS NULL OR attempt > 1);
