-- +goose Up
-- Webhooks. The queue of what is to be sent is River's (its tables are made by
-- its own migrations, see pg.Migrate).
CREATE TABLE webhook_subscriptions (
    agency_id       text COLLATE "C" NOT NULL,
    subscription_id uuid NOT NULL,
    display_name    text NOT NULL DEFAULT '',
    url             text NOT NULL,
    kinds           integer[] NOT NULL DEFAULT '{}',
    children        text[] NOT NULL DEFAULT '{}', -- resource names
    agencies        text[] NOT NULL DEFAULT '{}', -- resource names
    state           smallint NOT NULL,
    purpose         smallint NOT NULL,
    secret          bytea NOT NULL, -- sealed with a key that the database does not have
    previous_secret bytea,
    previous_until  timestamptz,
    after_position  bigint NOT NULL, -- events up to here are not sent
    failures        integer NOT NULL DEFAULT 0, -- attempts that failed, since one did not
    failing_since   timestamptz,
    hold_until      timestamptz, -- nothing is attempted before
    create_time     timestamptz NOT NULL,
    update_time     timestamptz NOT NULL,
    revision        integer NOT NULL,
    PRIMARY KEY (agency_id, subscription_id)
);

-- How far the log of events has been turned into what is to be sent. Who does
-- that holds the row.
CREATE TABLE webhook_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    day      date NOT NULL,
    position bigint NOT NULL
) WITH (fillfactor = 20);
INSERT INTO webhook_head (day, position) SELECT day, position FROM event_head;

-- Attempts. delivery_id is a UUIDv7: its order is that of time.
CREATE TABLE webhook_deliveries (
    subscription_id uuid NOT NULL,
    delivery_id     uuid NOT NULL,
    event_id        uuid, -- NULL for a test
    attempt         integer NOT NULL,
    attempt_time    timestamptz NOT NULL,
    outcome         smallint NOT NULL,
    http_status     integer NOT NULL,
    latency_micros  bigint NOT NULL,
    PRIMARY KEY (subscription_id, delivery_id)
);
CREATE INDEX webhook_deliveries_by_time ON webhook_deliveries (attempt_time);

-- What could not be sent.
CREATE TABLE webhook_dead_letters (
    subscription_id uuid NOT NULL,
    position        bigint NOT NULL,
    day             date NOT NULL,
    event_id        uuid NOT NULL,
    kind            smallint NOT NULL,
    attempts        integer NOT NULL,
    outcome         smallint NOT NULL,
    http_status     integer NOT NULL,
    create_time     timestamptz NOT NULL,
    PRIMARY KEY (subscription_id, position)
);

-- +goose Down
DROP TABLE webhook_dead_letters, webhook_deliveries, webhook_head, webhook_subscriptions;
