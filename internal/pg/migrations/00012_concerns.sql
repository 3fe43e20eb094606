-- +goose Up
-- Concerns about children.
--
-- concern_id is derived from agency and local id, as that of an involvement is; a
-- row follows the agency's record when that is linked to another child. state is
-- 1 open, 2 closed, 3 withdrawn. sensitive: to know of it would be to know that a
-- sensitive service is involved.
CREATE TABLE concerns (
    child_id        uuid NOT NULL,
    concern_id      uuid NOT NULL,
    agency_id       text COLLATE "C" NOT NULL,
    local_id        text COLLATE "C" NOT NULL,
    record_id       uuid,
    record_local_id text COLLATE "C" NOT NULL DEFAULT '',
    category        text NOT NULL,
    level           text NOT NULL,
    practitioner_id text COLLATE "C" NOT NULL DEFAULT '',
    start_date      date NOT NULL,
    review_date     date,
    state           smallint NOT NULL,
    outcome         text NOT NULL DEFAULT '',
    end_date        date,
    sensitive       boolean NOT NULL,
    create_time     timestamptz NOT NULL,
    known_from      timestamptz NOT NULL,
    revision        integer NOT NULL,
    PRIMARY KEY (child_id, concern_id),
    CHECK ((state = 1) = (end_date IS NULL)),
    CHECK ((state = 2) = (outcome <> ''))
);
CREATE INDEX concerns_by_id ON concerns (concern_id);
CREATE INDEX concerns_by_agency ON concerns (agency_id, start_date, concern_id);

CREATE TABLE concerns_history (LIKE concerns);
ALTER TABLE concerns_history
    ADD COLUMN known_to timestamptz NOT NULL,
    ADD PRIMARY KEY (child_id, concern_id, revision, known_to);
