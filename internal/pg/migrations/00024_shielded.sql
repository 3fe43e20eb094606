-- +goose NO TRANSACTION
-- +goose Up
-- Matching asks of every child that may be meant whether it is shielded, and of few is it true.
CREATE INDEX CONCURRENTLY IF NOT EXISTS child_sharing_by_shielded ON child_sharing (child_id) WHERE shielded;

-- +goose Down
DROP INDEX child_sharing_by_shielded;
