-- +goose Up
-- The life of a match: reviews that people decide, what they decided about pairs
-- of records, merges and splits of children, pins, and matching everything again.

-- A review is OPEN 1, AWAITING_SECOND 3, UNSURE 4 or RESOLVED 5; CLAIMED 2 is not
-- stored, because a claim ends by itself. Two people are two different ids in the
-- form agencies/{agency}/practitioners/{practitioner}: what is of high risk (3)
-- cannot be resolved as the same child (1) by one.
ALTER TABLE match_reviews
    ADD COLUMN state        smallint NOT NULL DEFAULT 1,
    ADD COLUMN risk         smallint NOT NULL DEFAULT 2,
    ADD COLUMN risk_reasons text[] NOT NULL DEFAULT '{}',
    ADD COLUMN claimed_by   text NOT NULL DEFAULT '',
    ADD COLUMN claim_expiry timestamptz,
    ADD COLUMN survivor     uuid, -- that the first person chose
    ADD COLUMN first_by     text NOT NULL DEFAULT '',
    ADD COLUMN second_by    text NOT NULL DEFAULT '',
    ADD COLUMN resolution   smallint NOT NULL DEFAULT 0,
    ADD COLUMN resolve_time timestamptz,
    ADD COLUMN revision     integer NOT NULL DEFAULT 1,
    ADD CONSTRAINT match_reviews_states CHECK (state IN (1, 3, 4, 5) AND (state = 5) = (resolution <> 0)
        AND (state = 5) = (resolve_time IS NOT NULL) AND (state <> 3 OR first_by <> '')),
    ADD CONSTRAINT match_reviews_two_people CHECK (NOT (state = 5 AND resolution = 1 AND risk = 3)
        OR (first_by LIKE 'agencies/%/practitioners/_%' AND second_by LIKE 'agencies/%/practitioners/_%' AND first_by <> second_by));
CREATE INDEX match_reviews_by_risk ON match_reviews (risk DESC, create_time, review_id) WHERE state <> 5;
CREATE INDEX match_reviews_by_candidate ON match_reviews (candidate_child_id);

-- Every decision of a person about a review, also those that were not the last.
CREATE TABLE match_review_decisions (
    review_id   uuid NOT NULL,
    decide_time timestamptz NOT NULL,
    resolution  smallint NOT NULL,
    decided_by  text NOT NULL,
    reason      text NOT NULL,
    PRIMARY KEY (review_id, decide_time)
);

-- What a person decided about two records: of one child (1) or not (2). Each pair
-- stands here twice, once under each record, so that it is found by either; the
-- key allows one decision a pair.
CREATE TABLE match_constraints (
    record_id       uuid NOT NULL,
    other_record_id uuid NOT NULL,
    kind            smallint NOT NULL CHECK (kind IN (1, 2)),
    reason          text NOT NULL,
    decided_by      text NOT NULL,
    create_time     timestamptz NOT NULL,
    PRIMARY KEY (record_id, other_record_id),
    CHECK (record_id <> other_record_id)
);

CREATE TABLE match_constraints_history (LIKE match_constraints);
ALTER TABLE match_constraints_history
    ADD COLUMN end_time   timestamptz NOT NULL,
    ADD COLUMN ended_by   text NOT NULL,
    ADD COLUMN end_reason text NOT NULL,
    ADD PRIMARY KEY (record_id, other_record_id, create_time);

-- Where a data manager says a field of a child comes from: pin is the field's name
-- or its group's; either a record or a stated value (a child with just those fields).
CREATE TABLE child_pins (
    child_id    uuid NOT NULL,
    pin         text COLLATE "C" NOT NULL,
    record_id   uuid,
    value       jsonb,
    reason      text NOT NULL,
    pinned_by   text NOT NULL,
    agency_id   text COLLATE "C" NOT NULL,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (child_id, pin),
    CHECK ((record_id IS NULL) <> (value IS NULL))
);

CREATE TABLE child_pins_history (LIKE child_pins);
ALTER TABLE child_pins_history
    ADD COLUMN end_time   timestamptz NOT NULL,
    ADD COLUMN ended_by   text NOT NULL,
    ADD COLUMN end_reason text NOT NULL,
    ADD PRIMARY KEY (child_id, pin, create_time, end_time);

-- How far matching everything again has come: one row for each version of the
-- model. position is the last record done.
CREATE TABLE match_rematches (
    model_version text PRIMARY KEY,
    position      uuid NOT NULL,
    tally         jsonb NOT NULL,
    start_time    timestamptz NOT NULL,
    update_time   timestamptz NOT NULL,
    end_time      timestamptz
);

-- The evidence by which a record came to its child, field by field
-- (internal/children/evidence.go).
ALTER TABLE child_records ADD COLUMN match_evidence bytea NOT NULL DEFAULT '';
ALTER TABLE child_records_history ADD COLUMN match_evidence bytea NOT NULL DEFAULT '';

-- A child that became another leads to one that has not become another itself: no
-- chains, no circles, no dead ends. Chains that there are become one step first.
WITH RECURSIVE chain AS (
    SELECT child_id AS origin, merged_into AS target FROM children WHERE merged_into IS NOT NULL
    UNION
    SELECT chain.origin, c.merged_into FROM chain JOIN children c ON c.child_id = chain.target WHERE c.merged_into IS NOT NULL
)
UPDATE children m SET merged_into = chain.target
FROM chain JOIN children t ON t.child_id = chain.target AND t.merged_into IS NULL
WHERE m.child_id = chain.origin AND m.merged_into <> chain.target;

ALTER TABLE children ADD CONSTRAINT children_merged CHECK ((state = 3) = (merged_into IS NOT NULL) AND merged_into <> child_id);

-- +goose StatementBegin
CREATE FUNCTION children_redirect_check() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- The row may have been replaced since, in the same transaction.
    IF NOT EXISTS (SELECT FROM children WHERE child_id = NEW.child_id AND merged_into = NEW.merged_into) THEN
        RETURN NULL;
    END IF;
    IF NOT EXISTS (SELECT FROM children WHERE child_id = NEW.merged_into AND merged_into IS NULL)
        OR EXISTS (SELECT FROM children WHERE merged_into = NEW.child_id) THEN
        RAISE EXCEPTION 'a child that became another must lead to one that is still itself'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'children_redirects';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- Checked at the end of the transaction, and only for rows that lead on: other
-- children are not slowed down by it.
CREATE CONSTRAINT TRIGGER children_redirects AFTER INSERT OR UPDATE ON children
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.merged_into IS NOT NULL)
    EXECUTE FUNCTION children_redirect_check();
