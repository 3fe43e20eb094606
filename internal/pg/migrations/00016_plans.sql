-- +goose Up
-- Plans of social care for children.
--
-- plan_id is derived from agency and local id, as that of an involvement is; a row
-- follows the agency's record when that is linked to another child. kind is that of
-- proto/irt/v1/plan.proto.
CREATE TABLE plans (
    child_id        uuid NOT NULL,
    plan_id         uuid NOT NULL,
    agency_id       text COLLATE "C" NOT NULL,
    local_id        text COLLATE "C" NOT NULL,
    record_id       uuid,
    record_local_id text COLLATE "C" NOT NULL DEFAULT '',
    kind            smallint NOT NULL,
    practitioner_id text COLLATE "C" NOT NULL DEFAULT '',
    start_date      date NOT NULL,
    end_date        date,
    create_time     timestamptz NOT NULL,
    known_from      timestamptz NOT NULL,
    revision        integer NOT NULL,
    PRIMARY KEY (child_id, plan_id),
    CHECK (end_date >= start_date)
);
CREATE INDEX plans_by_id ON plans (plan_id);
CREATE INDEX plans_by_agency ON plans (agency_id, start_date, plan_id);

CREATE TABLE plans_history (LIKE plans);
ALTER TABLE plans_history
    ADD COLUMN known_to timestamptz NOT NULL,
    ADD PRIMARY KEY (child_id, plan_id, revision, known_to);
