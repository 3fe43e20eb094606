-- +goose Up
-- Services that agencies offer: a part of the directory. state is that of agencies:
-- 1 active, 2 inactive; ages are years, 0 for a last one that is not stated.
CREATE TABLE services (
    agency_id    text COLLATE "C" NOT NULL,
    service_id   text COLLATE "C" NOT NULL,
    display_name text NOT NULL,
    kind         text COLLATE "C" NOT NULL,
    minimum_age  smallint NOT NULL DEFAULT 0,
    maximum_age  smallint NOT NULL DEFAULT 0,
    telephone    text NOT NULL DEFAULT '',
    email        text NOT NULL DEFAULT '',
    state        smallint NOT NULL DEFAULT 1,
    create_time  timestamptz NOT NULL DEFAULT now(),
    update_time  timestamptz NOT NULL DEFAULT now(),
    revision     integer NOT NULL DEFAULT 1,
    PRIMARY KEY (agency_id, service_id)
);
CREATE INDEX services_by_kind ON services (kind, agency_id, service_id);
