-- +goose Up
-- Who was told that something is overdue. Neither is content: to be told of it makes
-- no version. The indexes hold only what may still have to be told, which is little.

-- The review date that the agency was told is over.
ALTER TABLE concerns ADD COLUMN review_told date;
ALTER TABLE concerns_history ADD COLUMN review_told date;
CREATE INDEX concerns_to_review ON concerns (review_date)
    WHERE state = 1 AND review_date IS NOT NULL AND review_told IS DISTINCT FROM review_date;

-- The two sides were told that the present recipient has not acted in time.
ALTER TABLE referrals ADD COLUMN overdue_told boolean NOT NULL DEFAULT false;
ALTER TABLE referrals_history ADD COLUMN overdue_told boolean NOT NULL DEFAULT false;
CREATE INDEX referrals_overdue ON referrals (acknowledge_by_time) WHERE state = 1 AND NOT overdue_told;
