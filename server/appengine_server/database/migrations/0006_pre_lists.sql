-- Lists of runs, each page of which is the beginning of an index, however many runs there are: all of a
-- project, by state, by task, and by label.
CREATE INDEX runs_by_state ON runs (project, state, created_at DESC, id DESC);
CREATE INDEX runs_by_task ON runs (task_id, project, created_at DESC, id DESC);
CREATE INDEX tasks_by_name ON tasks (namespace, version);

CREATE TABLE run_labels (
    run_id              uuid NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    project             text NOT NULL,
    key                 text NOT NULL,
    value               text NOT NULL,
    -- of the run
    created_at          timestamptz NOT NULL,
    PRIMARY KEY (run_id, key)
);
CREATE INDEX run_labels_newest ON run_labels (project, key, value, created_at DESC, run_id DESC);

INSERT INTO run_labels (run_id, project, key, value, created_at)
SELECT r.id, r.project, l.key, l.value, r.created_at FROM runs r, jsonb_each_text(r.labels) l;

-- By a trigger, for while servers are replaced one by one the older ones make runs too. The labels of a
-- run never change.
CREATE FUNCTION note_run_labels() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO run_labels (run_id, project, key, value, created_at)
    SELECT NEW.id, NEW.project, l.key, l.value, NEW.created_at FROM jsonb_each_text(NEW.labels) l;
    RETURN NULL;
END $$;
CREATE TRIGGER runs_labelled AFTER INSERT ON runs
    FOR EACH ROW WHEN (NEW.labels <> '{}') EXECUTE FUNCTION note_run_labels();
