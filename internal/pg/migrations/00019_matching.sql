-- +goose Up
-- What matching learns from the index itself, of which version its keys are, and a
-- child that others lead to.

-- How common names are among the children of the index: a row for each time they
-- were counted and found to have changed. They are kept, because decisions name the
-- model they were made with, and that names the row. A name that fewer than five
-- children bear is not here.
CREATE TABLE match_frequencies (
    frequencies_id integer PRIMARY KEY CHECK (frequencies_id > 0),
    model_version  text NOT NULL, -- of the built-in model whose own table was joined
    children       bigint NOT NULL, -- that were counted
    frequencies    jsonb NOT NULL, -- match.Frequencies
    create_time    timestamptz NOT NULL
);

-- What holds of the index as a whole.
CREATE TABLE match_index (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    key_version smallint NOT NULL, -- match.KeyVersion of all its keys, or of the last time that all were of one
    count_model text NOT NULL DEFAULT '', -- for which model names were counted last
    count_time  timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO match_index (key_version) VALUES (3);

-- Which match.KeyVersion a record's rows in match_keys are of. All that there are are
-- of 3, and so are those of a hub that does not know the column.
ALTER TABLE child_records ADD COLUMN match_key_version smallint NOT NULL DEFAULT 3;
ALTER TABLE child_records_history ADD COLUMN match_key_version smallint NOT NULL DEFAULT 3;

-- A child that others became may be replaced by a new version of itself, and may go
-- with all that lead to it, but not alone.
-- +goose StatementBegin
CREATE FUNCTION children_target_check() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM children WHERE child_id = OLD.child_id)
        AND EXISTS (SELECT FROM children WHERE merged_into = OLD.child_id) THEN
        RAISE EXCEPTION 'a child that others became cannot go alone'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'children_targets';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- Checked at the end of the transaction. A child that became another has none that
-- lead to it.
CREATE CONSTRAINT TRIGGER children_targets AFTER DELETE ON children
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.merged_into IS NULL)
    EXECUTE FUNCTION children_target_check();
