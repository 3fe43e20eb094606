-- +goose Up
-- Nominations of lead professionals.
--
-- A row follows the involvement that it nominates when that comes to another child.
-- state is that of proto/irt/v1/lead_nomination.proto; an open one whose expire_time is
-- over is expired, which is told by who reads. nomination_id is a UUIDv7.
CREATE TABLE lead_nominations (
    child_id        uuid NOT NULL,
    nomination_id   uuid NOT NULL,
    agency_id       text COLLATE "C" NOT NULL, -- nominates
    nominated_by    text COLLATE "C" NOT NULL DEFAULT '', -- practitioner of it
    involvement_id  uuid NOT NULL,
    recipient_id    text COLLATE "C" NOT NULL, -- the involvement's agency
    local_id        text COLLATE "C" NOT NULL, -- of the involvement
    practitioner_id text COLLATE "C" NOT NULL, -- of the involvement when it was nominated
    replaces_id     uuid, -- the involvement of the lead professional there was then
    start_date      date,
    state           smallint NOT NULL,
    decline_reason  text NOT NULL DEFAULT '',
    expire_time     timestamptz NOT NULL,
    create_time     timestamptz NOT NULL,
    known_from      timestamptz NOT NULL,
    revision        integer NOT NULL,
    PRIMARY KEY (child_id, nomination_id),
    CHECK (state BETWEEN 1 AND 4),
    CHECK ((state = 3) = (decline_reason <> ''))
);
CREATE INDEX lead_nominations_by_id ON lead_nominations (nomination_id);
CREATE INDEX lead_nominations_by_agency ON lead_nominations (agency_id, nomination_id);
CREATE INDEX lead_nominations_by_recipient ON lead_nominations (recipient_id, nomination_id);

CREATE TABLE lead_nominations_history (LIKE lead_nominations);
ALTER TABLE lead_nominations_history
    ADD COLUMN known_to timestamptz NOT NULL,
    ADD PRIMARY KEY (child_id, nomination_id, revision, known_to);
