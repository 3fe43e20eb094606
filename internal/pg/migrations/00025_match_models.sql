-- +goose Up
-- The models that matching has gone by. A version stands for one model only, so that
-- what was decided by it can be explained and repeated; and it is seen when hubs on one
-- database go by different ones.
CREATE TABLE match_models (
    model_version text PRIMARY KEY, -- without the row of match_frequencies
    model         jsonb, -- of a given one, as irthub match train writes it; NULL for one that is built in
    create_time   timestamptz NOT NULL,
    use_time      timestamptz -- when a hub last said that it goes by it; NULL: none has
);
