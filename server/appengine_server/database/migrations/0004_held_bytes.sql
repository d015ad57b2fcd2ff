-- What each upload counts in the quotas: its announced size while it is open, then what it brought for
-- as long as its bytes are kept.
ALTER TABLE uploads ADD COLUMN held_bytes bigint NOT NULL DEFAULT 0;
CREATE INDEX uploads_held ON uploads (project) INCLUDE (held_bytes) WHERE held_bytes > 0;
