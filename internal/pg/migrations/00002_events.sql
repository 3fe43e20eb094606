-- +goose Up
-- The outbox: an event is written by the transaction that makes the change it
-- tells of, so that there is never one without the other.
--
-- audience says who may receive it: 1 the agencies involved with the child, by
-- policy; 2 data managers; 3 the agencies named. reveals is the sensitive service
-- whose involvement the event would give away, if any: then only it and data
-- managers receive it.
CREATE TABLE event_outbox (
    event_id       uuid NOT NULL,
    kind           smallint NOT NULL,
    child_id       uuid,
    other_child_id uuid,
    agency_id      text COLLATE "C" NOT NULL DEFAULT '',
    resource       text NOT NULL DEFAULT '',
    audience       smallint NOT NULL,
    agencies       text[] COLLATE "C" NOT NULL DEFAULT '{}',
    reveals        text COLLATE "C" NOT NULL DEFAULT '',
    event_time     timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_cost_delay = 0, vacuum_truncate = false);

-- +goose Down
DROP TABLE event_outbox;
