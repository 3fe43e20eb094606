-- +goose Up
-- How many children there were, by PostgreSQL's estimate, when names were counted last:
-- once there are half as many again, they are counted anew.
ALTER TABLE match_index ADD COLUMN count_children real NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE match_index DROP COLUMN count_children;
