-- +goose Up
-- Consents, shielding, refusals to share, and how long a child stays.
--
-- consent_id is derived from agency and local id, as that of an involvement is; a
-- row follows the agency's record when that is linked to another child. state is
-- 1 given, 2 withdrawn; a withdrawn consent ceased to hold on its withdraw_date.
CREATE TABLE consents (
    child_id        uuid NOT NULL,
    consent_id      uuid NOT NULL,
    agency_id       text COLLATE "C" NOT NULL,
    local_id        text COLLATE "C" NOT NULL,
    record_id       uuid,
    record_local_id text COLLATE "C" NOT NULL DEFAULT '',
    scope           smallint NOT NULL,
    categories      smallint[] NOT NULL DEFAULT '{}',
    recipient_kinds smallint[] NOT NULL DEFAULT '{}',
    recipients      text[] COLLATE "C" NOT NULL DEFAULT '{}',
    given_by        text NOT NULL,
    start_date      date NOT NULL,
    end_date        date,
    state           smallint NOT NULL,
    withdraw_date   date,
    create_time     timestamptz NOT NULL,
    known_from      timestamptz NOT NULL,
    revision        integer NOT NULL,
    PRIMARY KEY (child_id, consent_id),
    CHECK ((state = 2) = (withdraw_date IS NOT NULL))
);
CREATE INDEX consents_by_id ON consents (consent_id);

CREATE TABLE consents_history (LIKE consents);
ALTER TABLE consents_history
    ADD COLUMN known_to timestamptz NOT NULL,
    ADD PRIMARY KEY (child_id, consent_id, revision, known_to);

-- Shields. Each step is by a person, {agency}/{practitioner}; who proposes one,
-- or its lifting, is never who approves it, and the database holds that too.
-- state: 1 proposed, 2 provisional (in effect; a second person is to decide by
-- approve_by_time), 3 in effect, 4 in effect with its lifting proposed, 5 lifted,
-- 6 rejected.
--
-- A shield that was copied when records parted has the same shield_id at both
-- children, and a life of its own at each.
CREATE TABLE shields (
    child_id         uuid NOT NULL,
    shield_id        uuid NOT NULL,
    state            smallint NOT NULL,
    reason           text NOT NULL,
    agency_id        text COLLATE "C" NOT NULL, -- proposed it
    proposed_by      text COLLATE "C" NOT NULL,
    propose_time     timestamptz NOT NULL,
    approve_by_time  timestamptz,
    decided_by       text COLLATE "C" NOT NULL DEFAULT '', -- approved or rejected it
    decide_time      timestamptz,
    lift_reason      text NOT NULL DEFAULT '',
    lift_proposed_by text COLLATE "C" NOT NULL DEFAULT '',
    lift_propose_time timestamptz,
    lift_decided_by  text COLLATE "C" NOT NULL DEFAULT '',
    lift_decide_time timestamptz,
    known_from       timestamptz NOT NULL,
    revision         integer NOT NULL,
    PRIMARY KEY (child_id, shield_id),
    CHECK (proposed_by <> ''),
    CHECK (decided_by <> proposed_by),
    CHECK (state NOT IN (3, 4, 5, 6) OR decided_by <> ''),
    CHECK (lift_decided_by = '' OR lift_decided_by <> lift_proposed_by),
    CHECK (state <> 5 OR (lift_proposed_by <> '' AND lift_decided_by <> ''))
);
CREATE INDEX shields_open ON shields (state, propose_time) WHERE state IN (1, 2, 4);

CREATE TABLE shields_history (LIKE shields);
ALTER TABLE shields_history
    ADD COLUMN known_to timestamptz NOT NULL,
    ADD PRIMARY KEY (child_id, shield_id, revision, known_to);

-- Refusals to share: said once and never changed.
CREATE TABLE sharing_refusals (
    child_id        uuid NOT NULL,
    refusal_id      uuid NOT NULL,
    agency_id       text COLLATE "C" NOT NULL, -- refuses
    local_id        text COLLATE "C" NOT NULL,
    record_id       uuid,
    requester       text COLLATE "C" NOT NULL DEFAULT '', -- the agency that asked
    categories      smallint[] NOT NULL DEFAULT '{}',
    purpose         smallint NOT NULL,
    reason          text NOT NULL,
    details         text NOT NULL DEFAULT '',
    refuse_date     date NOT NULL,
    create_time     timestamptz NOT NULL,
    PRIMARY KEY (child_id, refusal_id)
);
CREATE INDEX sharing_refusals_by_id ON sharing_refusals (refusal_id);
CREATE INDEX sharing_refusals_by_agency ON sharing_refusals (agency_id, create_time, refusal_id);
CREATE INDEX sharing_refusals_by_requester ON sharing_refusals (requester, create_time, refusal_id) WHERE requester <> '';

-- What sharing policy needs to know of a child beyond the child: one row, there
-- only if there is something to say, written by the transaction that changes it.
-- consents holds those that are not withdrawn, as internal/sharing reads them;
-- whether one is in force on a day is judged by who reads.
CREATE TABLE child_sharing (
    child_id       uuid PRIMARY KEY,
    shielded       boolean NOT NULL DEFAULT false,
    archive_date   date, -- archived since; NULL: in use
    archive_reason text NOT NULL DEFAULT '',
    purge_date     date, -- the first day on which it is purged
    consents       jsonb NOT NULL DEFAULT '[]'
);
CREATE INDEX child_sharing_by_purge_date ON child_sharing (purge_date) WHERE purge_date IS NOT NULL;

-- Runs of the retention rules. One that is to be the day's only one has its day
-- here before it begins; it is done when end_time is there.
CREATE TABLE retention_runs (
    run_id     uuid PRIMARY KEY,
    today      date NOT NULL,
    start_time timestamptz NOT NULL,
    end_time   timestamptz,
    archived   bigint NOT NULL DEFAULT 0,
    restored   bigint NOT NULL DEFAULT 0,
    purged     bigint NOT NULL DEFAULT 0,
    overdue    bigint NOT NULL DEFAULT 0 -- provisional shields that nobody decided in time
);
CREATE INDEX retention_runs_by_day ON retention_runs (today);
