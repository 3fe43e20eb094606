-- +goose Up
-- Who is let in: names in client certificates, tokens that are refused before
-- their time, and how much each caller may read in an hour.

-- Subject alternative names (DNS or URI) of the certificates of an agency's
-- systems. No name is of two agencies: internal/agencies sees to it, under a lock.
ALTER TABLE agencies ADD COLUMN certificate_names text[] NOT NULL DEFAULT '{}';
CREATE INDEX agencies_by_certificate_name ON agencies USING gin (certificate_names);

-- Every process follows who has left.
CREATE INDEX practitioners_by_update_time ON practitioners (update_time);
CREATE INDEX practitioners_inactive ON practitioners (agency_id, practitioner_id) WHERE state <> 1;

-- Tokens and certificates that are refused though their time is not over. A row
-- goes when the time it names is.
CREATE TABLE revocations (
    issuer       text COLLATE "C" NOT NULL,
    token_id     text COLLATE "C" NOT NULL,
    expire_time  timestamptz NOT NULL,
    reason       text NOT NULL DEFAULT '',
    revoked_by   text NOT NULL,
    create_time  timestamptz NOT NULL,
    PRIMARY KEY (issuer, token_id)
);
CREATE INDEX revocations_by_create_time ON revocations (create_time);

-- How many children a caller may read and searches it may make in an hour, where
-- that is not the default of its role. agency_id is '' for every agency.
CREATE TABLE access_limits (
    agency_id         text COLLATE "C" NOT NULL DEFAULT '',
    role              text NOT NULL,
    children_per_hour integer NOT NULL,
    searches_per_hour integer NOT NULL,
    update_time       timestamptz NOT NULL,
    PRIMARY KEY (agency_id, role)
);

-- What is left of each caller's allowance: a token bucket, from which the hub's
-- processes take blocks.
CREATE TABLE access_allowances (
    caller      text COLLATE "C" NOT NULL, -- the name of the agency or practitioner, and its role
    kind        smallint NOT NULL,         -- 1 children, 2 searches
    remaining   double precision NOT NULL, -- when it was last changed
    granted     integer NOT NULL,          -- to whoever changed it last
    update_time timestamptz NOT NULL,
    alert_time  timestamptz,               -- of the last alert
    PRIMARY KEY (caller, kind)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- +goose Down
DROP TABLE access_allowances, access_limits, revocations;
DROP INDEX practitioners_inactive, practitioners_by_update_time, agencies_by_certificate_name;
ALTER TABLE agencies DROP COLUMN certificate_names;
