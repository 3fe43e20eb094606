-- +goose Up
-- Imports that can be resumed: who runs one, until when that is believed without
-- a sign of life, and how far it is acknowledged. prefix_digest is the SHA-256 of
-- the file up to acknowledged_bytes, by which the same file is known again.
ALTER TABLE imports
    ADD COLUMN runner             uuid,
    ADD COLUMN lease_until        timestamptz,
    ADD COLUMN cancel_requested   boolean NOT NULL DEFAULT false,
    ADD COLUMN size               bigint NOT NULL DEFAULT 0,
    ADD COLUMN acknowledged_row   bigint NOT NULL DEFAULT 0,
    ADD COLUMN acknowledged_bytes bigint NOT NULL DEFAULT 0,
    ADD COLUMN prefix_digest      bytea,
    ADD COLUMN run_time           timestamptz, -- when it began or was resumed, and with how many rows
    ADD COLUMN run_rows           bigint NOT NULL DEFAULT 0,
    ADD COLUMN rule_counts        jsonb NOT NULL DEFAULT '[]', -- [{"r":rule,"g":grade,"n":count}]
    ADD COLUMN failure            text NOT NULL DEFAULT '',
    ADD COLUMN sha256             bytea,
    ADD COLUMN header             text[] NOT NULL DEFAULT '{}', -- the columns of the file
    ADD COLUMN kept_bytes         bigint NOT NULL DEFAULT 0, -- of rejected rows
    ADD COLUMN kept_until         timestamptz;
CREATE INDEX imports_by_agency ON imports (agency_id, import_id);
CREATE INDEX imports_running ON imports (lease_until) WHERE state = 1;
CREATE INDEX imports_kept ON imports (kept_until) WHERE kept_until IS NOT NULL;

-- The rows that were rejected, as they were sent: personal data, for the agency
-- that sent it alone, until kept_until of the import.
CREATE TABLE import_rejected_rows (
    import_id uuid NOT NULL,
    row       bigint NOT NULL,
    content   text NOT NULL,
    PRIMARY KEY (import_id, row)
);

-- First answers to calls that carried an idempotency key, so that a call that is
-- sent again is answered and not done again. call_hash stands for caller, method and
-- key; the request is kept as a keyed hash only, and the answer is sealed with a key
-- that is made from the caller's own: nobody can read it who does not send that
-- again.
CREATE TABLE idempotent_calls (
    call_hash    bytea PRIMARY KEY,
    request_hash bytea NOT NULL,
    runner       uuid NOT NULL,
    lease_until  timestamptz NOT NULL, -- while it is under way
    answer       bytea, -- NULL while it is under way
    expire_time  timestamptz NOT NULL
);
CREATE INDEX idempotent_calls_by_age ON idempotent_calls (expire_time);
