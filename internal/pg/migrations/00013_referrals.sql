-- +goose Up
-- Referrals between agencies.
--
-- referral_id is derived from agency and local id, as that of an involvement is; a row
-- follows the sender's record when that is linked to another child. state and urgency
-- are those of proto/irt/v1/referral.proto.
CREATE TABLE referrals (
    child_id            uuid NOT NULL,
    referral_id         uuid NOT NULL,
    agency_id           text COLLATE "C" NOT NULL, -- sends it
    local_id            text COLLATE "C" NOT NULL,
    record_id           uuid,
    record_local_id     text COLLATE "C" NOT NULL DEFAULT '',
    recipient_id        text COLLATE "C" NOT NULL,
    service             text COLLATE "C" NOT NULL DEFAULT '',
    reason              text NOT NULL,
    urgency             smallint NOT NULL,
    basis               text NOT NULL DEFAULT '',
    state               smallint NOT NULL,
    acknowledge_by_time timestamptz NOT NULL,
    decline_reason      text NOT NULL DEFAULT '',
    outcome             text NOT NULL DEFAULT '',
    redirected_from     text[] COLLATE "C" NOT NULL DEFAULT '{}',
    involvement_id      text COLLATE "C" NOT NULL DEFAULT '', -- the local id of the recipient's involvement
    send_time           timestamptz NOT NULL, -- to the present recipient
    acknowledge_time    timestamptz,
    create_time         timestamptz NOT NULL,
    known_from          timestamptz NOT NULL,
    revision            integer NOT NULL,
    PRIMARY KEY (child_id, referral_id),
    CHECK (state BETWEEN 1 AND 7),
    CHECK (agency_id <> recipient_id),
    CHECK ((state = 4) = (decline_reason <> '')),
    CHECK ((state = 6) = (outcome <> ''))
);
CREATE INDEX referrals_by_id ON referrals (referral_id);
CREATE INDEX referrals_by_agency ON referrals (agency_id, create_time, referral_id);
CREATE INDEX referrals_by_recipient ON referrals (recipient_id, create_time, referral_id);

CREATE TABLE referrals_history (LIKE referrals);
ALTER TABLE referrals_history
    ADD COLUMN known_to timestamptz NOT NULL,
    ADD PRIMARY KEY (child_id, referral_id, revision, known_to);
