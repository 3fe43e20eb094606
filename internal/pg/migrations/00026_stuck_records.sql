-- +goose Up
-- Until now a record that was withdrawn, and moved with its child while it was submitted
-- again, could be written as a second version of a number that its history has, and never
-- again after that. It gets the number that it should have.
UPDATE child_records r SET revision = h.revision + 1
FROM (SELECT record_id, max(revision) AS revision FROM child_records_history GROUP BY record_id) h
WHERE h.record_id = r.record_id AND h.revision >= r.revision;
