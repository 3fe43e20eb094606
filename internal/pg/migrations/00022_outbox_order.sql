-- +goose Up
-- The order in which events were put into the outbox, whatever any clock says. A number
-- is taken while the locks of the change are held, so those of one child grow with the
-- order of its changes. What waits now is before all that comes, in the order that it
-- had.
ALTER TABLE event_outbox ADD COLUMN seq bigint;
UPDATE event_outbox o SET seq = -q.back
FROM (SELECT ctid AS place, row_number() OVER (ORDER BY event_time DESC, event_id DESC) AS back FROM event_outbox) q
WHERE o.ctid = q.place;
ALTER TABLE event_outbox ALTER COLUMN seq SET NOT NULL, ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY;

-- +goose Down
ALTER TABLE event_outbox DROP COLUMN seq;
