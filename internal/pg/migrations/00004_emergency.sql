-- +goose Up
-- Emergency accesses (break-glass): one row a child and access, written before the
-- answer leaves, for a data manager to review. state is 1 to be reviewed, 2 reviewed;
-- finding is 1 justified, 2 not justified.
CREATE TABLE emergency_accesses (
    child_id            uuid NOT NULL,
    emergency_access_id uuid NOT NULL,
    access_id           uuid NOT NULL, -- its entry in the access log
    agency_id           text COLLATE "C" NOT NULL,
    practitioner_id     text COLLATE "C" NOT NULL DEFAULT '',
    on_behalf_of        text NOT NULL DEFAULT '',
    reason              text NOT NULL,
    method              text NOT NULL,
    access_time         timestamptz NOT NULL,
    state               smallint NOT NULL DEFAULT 1,
    finding             smallint NOT NULL DEFAULT 0,
    note                text NOT NULL DEFAULT '',
    reviewed_by         text NOT NULL DEFAULT '',
    review_time         timestamptz,
    PRIMARY KEY (child_id, emergency_access_id),
    CHECK ((state = 2) = (review_time IS NOT NULL))
);
CREATE INDEX emergency_accesses_by_id ON emergency_accesses (emergency_access_id);
CREATE INDEX emergency_accesses_by_state ON emergency_accesses (state, emergency_access_id);
