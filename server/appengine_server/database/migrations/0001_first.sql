-- Tasks, runs with their attempts and history, uploads, and the outbox.

CREATE TABLE tasks (
    id                  uuid PRIMARY KEY,
    project             text NOT NULL,
    owner               text NOT NULL,
    namespace           text NOT NULL,
    version             text NOT NULL,
    state               text NOT NULL CHECK (state IN ('PUBLISHING', 'READY', 'FAILED', 'DELETING')),
    request_id          uuid,
    request_hash        bytea,
    -- where the image comes from: an upload of a bundle, or a reference
    upload_id           uuid,
    image_entry         text,
    image_reference     text,
    -- what runs execute, once READY
    image               text,
    -- the user that the image runs as
    image_user          text,
    cpus                integer NOT NULL,
    ram_bytes           bigint NOT NULL,
    gpus                integer NOT NULL,
    has_logo            boolean NOT NULL,
    warnings            jsonb NOT NULL DEFAULT '[]',
    failure             jsonb,
    done_bytes          bigint NOT NULL DEFAULT 0,
    total_bytes         bigint NOT NULL DEFAULT 0,
    revision            bigint NOT NULL DEFAULT 1,
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now(),
    fence               bigint NOT NULL DEFAULT 0,
    lease_owner         uuid,
    lease_expires_at    timestamptz
);
-- a task that failed to publish, or is being deleted, does not hold its name
CREATE UNIQUE INDEX tasks_name ON tasks (project, namespace, version)
    WHERE state IN ('PUBLISHING', 'READY');
CREATE UNIQUE INDEX tasks_request ON tasks (project, owner, request_id);
CREATE INDEX tasks_newest ON tasks (project, created_at DESC, id DESC);
CREATE INDEX tasks_unfinished ON tasks (state) WHERE state IN ('PUBLISHING', 'DELETING');

CREATE TABLE runs (
    id                  uuid PRIMARY KEY,
    project             text NOT NULL,
    owner               text NOT NULL,
    task_id             uuid NOT NULL REFERENCES tasks (id),
    state               text NOT NULL CHECK (state IN (
                            'CREATED', 'PROVISIONED', 'QUEUED', 'PENDING', 'RUNNING', 'FINALIZING',
                            'CANCELLING', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
    request_id          uuid,
    request_hash        bytea,
    retry_of            uuid,
    labels              jsonb NOT NULL DEFAULT '{}',
    -- parameter -> its value and where its bytes are
    inputs              jsonb NOT NULL DEFAULT '{}',
    missing_inputs      jsonb NOT NULL DEFAULT '[]',
    -- parameter -> value, of the attempt whose outputs are the run's
    outputs             jsonb,
    outputs_attempt     integer,
    pending_reasons     jsonb NOT NULL DEFAULT '[]',
    failure             jsonb,
    warnings            jsonb NOT NULL DEFAULT '[]',
    -- the newest attempt; 0 before the first
    attempt             integer NOT NULL DEFAULT 0,
    not_before          timestamptz,
    revision            bigint NOT NULL DEFAULT 1,
    state_since         timestamptz NOT NULL DEFAULT now(),
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now(),
    started_at          timestamptz,
    ended_at            timestamptz,
    -- who drives it, and until when; every later write names the fence it was claimed with
    fence               bigint NOT NULL DEFAULT 0,
    lease_owner         uuid,
    lease_expires_at    timestamptz,
    next_look_at        timestamptz
);
CREATE UNIQUE INDEX runs_request ON runs (project, owner, request_id);
CREATE INDEX runs_newest ON runs (project, created_at DESC, id DESC);
CREATE INDEX runs_of_task ON runs (task_id, created_at DESC, id DESC);
CREATE INDEX runs_labels ON runs USING gin (labels jsonb_path_ops);
CREATE INDEX runs_queued ON runs (project, started_at) WHERE state = 'QUEUED';
CREATE INDEX runs_active ON runs (next_look_at)
    WHERE state IN ('QUEUED', 'PENDING', 'RUNNING', 'FINALIZING', 'CANCELLING');
CREATE INDEX runs_active_by_project ON runs (project, state, created_at DESC, id DESC)
    WHERE state NOT IN ('SUCCEEDED', 'FAILED', 'CANCELLED');

CREATE TABLE attempts (
    run_id              uuid NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    number              integer NOT NULL,
    cpus                integer NOT NULL,
    ram_bytes           bigint NOT NULL,
    gpus                integer NOT NULL,
    gpu_devices         text[] NOT NULL DEFAULT '{}',
    submitted_at        timestamptz,
    -- its CPUs, memory and GPUs are free again
    released_at         timestamptz,
    failure             jsonb,
    exit_code           integer,
    phases              jsonb NOT NULL DEFAULT '[]',
    peak_memory_bytes   bigint,
    cpu_seconds         double precision,
    log_bytes           bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, number)
);
CREATE INDEX attempts_in_use ON attempts (run_id) WHERE released_at IS NULL;

-- The history of runs, and what watches read. `written_by` lets a reader of many runs wait for
-- transactions that began earlier and are not visible yet.
CREATE TABLE run_events (
    position            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    written_by          xid8 NOT NULL DEFAULT pg_current_xact_id(),
    run_id              uuid NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    project             text NOT NULL,
    revision            bigint NOT NULL,
    state               text NOT NULL,
    attempt             integer NOT NULL,
    reason              text,
    message             text,
    pending_reasons     jsonb NOT NULL DEFAULT '[]',
    at                  timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX run_events_of_run ON run_events (run_id, revision);
CREATE INDEX run_events_in_order ON run_events (written_by, position);

CREATE TABLE uploads (
    id                  uuid PRIMARY KEY,
    project             text NOT NULL,
    owner               text NOT NULL,
    target              text NOT NULL CHECK (target IN ('TASK_BUNDLE', 'INPUT')),
    run_id              uuid,
    parameter           text,
    part                text,
    state               text NOT NULL CHECK (state IN ('OPEN', 'FINISHED', 'FAILED', 'CANCELLED')),
    request_id          uuid,
    request_hash        bytea,
    total_bytes         bigint NOT NULL DEFAULT 0,
    total_entries       bigint NOT NULL DEFAULT 0,
    -- why it was refused at its end
    problems            jsonb NOT NULL DEFAULT '[]',
    created_at          timestamptz NOT NULL DEFAULT now(),
    expires_at          timestamptz NOT NULL
);
CREATE UNIQUE INDEX uploads_request ON uploads (project, owner, request_id);
CREATE INDEX uploads_expiry ON uploads (expires_at);
CREATE INDEX uploads_of_run ON uploads (run_id);

-- Effects that were decided and must happen: written in the transaction of their decision, done
-- afterwards as often as it takes. Doing one twice is harmless.
CREATE TABLE outbox (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    action              text NOT NULL,
    subject             jsonb NOT NULL,
    tries               integer NOT NULL DEFAULT 0,
    due_at              timestamptz NOT NULL DEFAULT now(),
    created_at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outbox_due ON outbox (due_at);
