-- +goose Up
-- Contact between professionals, and when an agency's telephone is answered.

-- Spans of office hours, as the schema has them in JSON.
ALTER TABLE agencies ADD COLUMN office_hours jsonb NOT NULL DEFAULT '[]';

-- A request as its asker sees it. involvement_id is NULL where an audience is
-- asked: 1 everybody, 2 the sensitive services. state is 1 open, 2 answered,
-- 3 declined, 4 cancelled, 5 expired; that somebody behind an audience declined is
-- in contact_routes alone. record_id is the asker's record of the child, which the
-- request follows.
CREATE TABLE contact_requests (
    child_id           uuid NOT NULL,
    contact_request_id uuid NOT NULL,
    record_id          uuid,
    agency_id          text COLLATE "C" NOT NULL, -- asks
    practitioner_id    text COLLATE "C" NOT NULL DEFAULT '',
    involvement_id     uuid,
    audience           smallint NOT NULL DEFAULT 0,
    state              smallint NOT NULL DEFAULT 1,
    purpose            smallint NOT NULL,
    reason             text NOT NULL,
    create_time        timestamptz NOT NULL,
    expire_time        timestamptz NOT NULL,
    known_from         timestamptz NOT NULL,
    revision           integer NOT NULL DEFAULT 1,
    PRIMARY KEY (child_id, contact_request_id),
    CHECK ((involvement_id IS NULL) = (audience <> 0))
);
CREATE INDEX contact_requests_by_id ON contact_requests (contact_request_id);
CREATE INDEX contact_requests_by_agency ON contact_requests (agency_id, contact_request_id);
CREATE INDEX contact_requests_open ON contact_requests (expire_time) WHERE state = 1;

CREATE TABLE contact_requests_history (LIKE contact_requests);
ALTER TABLE contact_requests_history
    ADD COLUMN known_to timestamptz NOT NULL,
    ADD PRIMARY KEY (child_id, contact_request_id, revision, known_to);

-- Whom a request goes to: one row an agency. correspondent_id is a random name, by
-- which the asker knows who answered; expire_time is that of the request. A route
-- counts while its involvement is one with the request's child.
CREATE TABLE contact_routes (
    child_id           uuid NOT NULL,
    contact_request_id uuid NOT NULL,
    correspondent_id   uuid NOT NULL,
    agency_id          text COLLATE "C" NOT NULL,
    practitioner_id    text COLLATE "C" NOT NULL DEFAULT '',
    involvement_id     uuid NOT NULL,
    state              smallint NOT NULL DEFAULT 1,
    disclosed          boolean NOT NULL DEFAULT false,
    answered_by        text COLLATE "C" NOT NULL DEFAULT '', -- practitioner
    answer_time        timestamptz,
    read_time          timestamptz,
    expire_time        timestamptz NOT NULL,
    known_from         timestamptz NOT NULL,
    revision           integer NOT NULL DEFAULT 1,
    PRIMARY KEY (child_id, contact_request_id, correspondent_id),
    CHECK ((state = 2) = (answer_time IS NOT NULL))
);
CREATE INDEX contact_routes_by_agency ON contact_routes (agency_id, contact_request_id);
CREATE INDEX contact_routes_open ON contact_routes (expire_time) WHERE state = 1;

CREATE TABLE contact_routes_history (LIKE contact_routes);
ALTER TABLE contact_routes_history
    ADD COLUMN known_to timestamptz NOT NULL,
    ADD PRIMARY KEY (child_id, contact_request_id, correspondent_id, revision, known_to);

-- What was written with a request. correspondent_id is who wrote it, or whom the
-- asker wrote to; NULL: all of them. Said once and never changed; purged a year
-- after the request's time is over.
CREATE TABLE contact_messages (
    child_id           uuid NOT NULL,
    contact_request_id uuid NOT NULL,
    message_id         uuid NOT NULL,
    from_asker         boolean NOT NULL,
    correspondent_id   uuid,
    text               text NOT NULL,
    create_time        timestamptz NOT NULL,
    read_time          timestamptz,
    purge_time         timestamptz NOT NULL,
    PRIMARY KEY (child_id, contact_request_id, message_id)
);
CREATE INDEX contact_messages_by_purge_time ON contact_messages (purge_time);
