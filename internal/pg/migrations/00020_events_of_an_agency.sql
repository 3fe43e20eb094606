-- +goose Up
-- Events that an agency is told of because they are addressed to it, or give it away:
-- with the indexes by child, what is for an agency with few children is found without
-- looking at what is for others (internal/feed). Few events are in either.
CREATE INDEX events_by_agency ON events USING gin (agencies) WITH (fastupdate = off) WHERE agencies <> '{}';
CREATE INDEX events_by_revealed ON events (reveals, position) WHERE reveals <> '';

-- +goose Down
DROP INDEX events_by_agency, events_by_revealed;
