-- Agents that move the data of attempts: what they prove themselves with, and what they said last.

-- No reference to the run: the token of an agent that outlived its run is still known as one.
CREATE TABLE attempt_tokens (
    token_hash          bytea PRIMARY KEY,
    run_id              uuid NOT NULL,
    attempt             integer NOT NULL,
    direction           text NOT NULL CHECK (direction IN ('FETCH', 'TRANSFER')),
    created_at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX attempt_tokens_of_run ON attempt_tokens (run_id);

CREATE TABLE agents (
    run_id              uuid NOT NULL,
    attempt             integer NOT NULL,
    direction           text NOT NULL CHECK (direction IN ('FETCH', 'TRANSFER')),
    state               text NOT NULL CHECK (state IN (
                            'IDLE', 'FETCHING', 'FETCHED', 'UPLOADING', 'UPLOADED', 'FAILED')),
    message             text NOT NULL DEFAULT '',
    -- its container was asked to end before the server had ordered anything
    terminating         boolean NOT NULL DEFAULT false,
    done_bytes          bigint NOT NULL DEFAULT 0,
    done_entries        bigint NOT NULL DEFAULT 0,
    missing_outputs     text[] NOT NULL DEFAULT '{}',
    unsent              jsonb NOT NULL DEFAULT '[]',
    said_at             timestamptz NOT NULL DEFAULT now(),
    progressed_at       timestamptz NOT NULL DEFAULT now(),
    -- of the transfer
    began_at            timestamptz,
    ended_at            timestamptz,
    PRIMARY KEY (run_id, attempt, direction),
    FOREIGN KEY (run_id, attempt) REFERENCES attempts (run_id, number) ON DELETE CASCADE
);

ALTER TABLE uploads DROP CONSTRAINT uploads_target_check;
ALTER TABLE uploads ADD CONSTRAINT uploads_target_check
    CHECK (target IN ('TASK_BUNDLE', 'INPUT', 'ATTEMPT_OUTPUTS'));
ALTER TABLE uploads ADD COLUMN attempt integer;
-- opened before the server knew that the task had ended: its files may be half written
ALTER TABLE uploads ADD COLUMN rescue boolean NOT NULL DEFAULT false;
ALTER TABLE uploads ADD COLUMN ended_at timestamptz;
CREATE UNIQUE INDEX uploads_of_attempt ON uploads (run_id, attempt)
    WHERE target = 'ATTEMPT_OUTPUTS';
