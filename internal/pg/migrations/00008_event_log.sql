-- +goose Up
-- What has happened, in the one order in which everybody is told of it. Rows come
-- from event_outbox, in rounds that follow one another (internal/events), and never
-- change. position is dense: whoever has seen one knows whether the next is there.
--
-- It is partitioned by the day on which the round ran, so that what is 30 days old
-- goes by dropping a table. Days never go back, whatever the clock does: the order
-- of (day, position) is that of position.
CREATE TABLE events (
    day            date NOT NULL,
    position       bigint NOT NULL,
    event_id       uuid NOT NULL,
    kind           smallint NOT NULL,
    child_id       uuid,
    other_child_id uuid,
    agency_id      text COLLATE "C" NOT NULL,
    resource       text NOT NULL,
    audience       smallint NOT NULL,
    agencies       text[] COLLATE "C" NOT NULL,
    reveals        text COLLATE "C" NOT NULL,
    event_time     timestamptz NOT NULL,
    PRIMARY KEY (day, position)
) PARTITION BY RANGE (day);
CREATE INDEX events_by_child ON events (child_id, position) WHERE child_id IS NOT NULL;
CREATE INDEX events_by_other_child ON events (other_child_id, position) WHERE other_child_id IS NOT NULL;

-- Where the log ends, and from where it is kept. Who adds to the log holds this
-- row: that is what makes one round follow another.
CREATE TABLE event_head (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    day       date NOT NULL,
    position  bigint NOT NULL,
    kept_from bigint NOT NULL
) WITH (fillfactor = 20);
INSERT INTO event_head (day, position, kept_from) VALUES ((now() AT TIME ZONE 'UTC')::date, 0, 1);

-- +goose Down
DROP TABLE event_head, events;
