-- +goose Up
-- The index, the directory, involvements, imports and the access log.
--
-- Rules that hold for every table (docs/ARCHITECTURE.md, "Storage"):
--   * Columns that carry a field of the standard have the field's name.
--   * Empty text is '', never NULL; a date not known is NULL.
--   * A table that people change has the present version here and every earlier
--     one in its _history twin, with the period in which the hub knew it so
--     (known_from until known_to). Rows move to history whole, and never change there.
--   * The primary key of a child-centred table is, or begins with, what it would
--     be distributed by (child_id; record_id for records; key for match keys), and
--     nothing else is unique, so that the tables can be sharded. Rows refer to
--     each other without foreign keys for the same reason: the write pipeline,
--     under its locks, keeps the references whole.

-- Keys of the hub itself, shared by its processes: sealing of page tokens,
-- derivation of local ids. Never personal data.
CREATE TABLE hub_keys (
    name        text PRIMARY KEY,
    key         bytea NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE agencies (
    agency_id              text COLLATE "C" PRIMARY KEY,
    display_name           text NOT NULL,
    kind                   smallint NOT NULL,
    sensitive              boolean NOT NULL DEFAULT false,
    urn                    text NOT NULL DEFAULT '',
    ods_code               text NOT NULL DEFAULT '',
    address_lines          text[] NOT NULL DEFAULT '{}',
    postcode               text NOT NULL DEFAULT '',
    telephone              text NOT NULL DEFAULT '',
    out_of_hours_telephone text NOT NULL DEFAULT '',
    email                  text NOT NULL DEFAULT '',
    state                  smallint NOT NULL DEFAULT 1,
    create_time            timestamptz NOT NULL DEFAULT now(),
    update_time            timestamptz NOT NULL DEFAULT now(),
    revision               integer NOT NULL DEFAULT 1
);
CREATE INDEX agencies_by_update_time ON agencies (update_time);

CREATE TABLE practitioners (
    agency_id       text COLLATE "C" NOT NULL,
    practitioner_id text COLLATE "C" NOT NULL,
    display_name    text NOT NULL,
    job_title       text NOT NULL DEFAULT '',
    telephone       text NOT NULL DEFAULT '',
    email           text NOT NULL DEFAULT '',
    state           smallint NOT NULL DEFAULT 1,
    create_time     timestamptz NOT NULL DEFAULT now(),
    update_time     timestamptz NOT NULL DEFAULT now(),
    revision        integer NOT NULL DEFAULT 1,
    PRIMARY KEY (agency_id, practitioner_id)
);

-- What agencies say. record_id is derived from agency and local id, the agency
-- first, so that one agency's records lie together.
CREATE TABLE child_records (
    record_id                      uuid PRIMARY KEY,
    agency_id                      text COLLATE "C" NOT NULL,
    local_id                       text COLLATE "C" NOT NULL,
    child_id                       uuid NOT NULL,
    state                          smallint NOT NULL,
    given_name                     text NOT NULL DEFAULT '',
    middle_names                   text NOT NULL DEFAULT '',
    family_name                    text NOT NULL DEFAULT '',
    preferred_given_name           text NOT NULL DEFAULT '',
    former_family_names            text[] NOT NULL DEFAULT '{}',
    date_of_birth                  date,
    expected_date_of_birth         date,
    date_of_death                  date,
    sex                            text NOT NULL DEFAULT '',
    nhs_number                     text NOT NULL DEFAULT '',
    nhs_number_omission_reason     text NOT NULL DEFAULT '',
    nhs_number_verification_status text NOT NULL DEFAULT '',
    upn                            text NOT NULL DEFAULT '',
    upn_unknown_reason             text NOT NULL DEFAULT '',
    former_upn                     text NOT NULL DEFAULT '',
    uln                            text NOT NULL DEFAULT '',
    la_child_id                    text NOT NULL DEFAULT '',
    address_lines                  text[] NOT NULL DEFAULT '{}',
    postcode                       text NOT NULL DEFAULT '',
    uprn                           text NOT NULL DEFAULT '',
    address_start_date             date,
    no_known_address               boolean NOT NULL DEFAULT false,
    telephone                      text NOT NULL DEFAULT '',
    email                          text NOT NULL DEFAULT '',
    school_urn                     text NOT NULL DEFAULT '',
    school_start_date              date,
    gp_practice_code               text NOT NULL DEFAULT '',
    ethnicity                      text NOT NULL DEFAULT '',
    disabilities                   text[] NOT NULL DEFAULT '{}',
    carers                         jsonb NOT NULL DEFAULT '[]',
    queries                        text[] NOT NULL DEFAULT '{}', -- "RULE_ID field"
    match_decision                 smallint NOT NULL DEFAULT 0,
    match_probability              real NOT NULL DEFAULT 0,
    match_weight                   real NOT NULL DEFAULT 0,
    match_rule_id                  text NOT NULL DEFAULT '',
    match_model_version            text NOT NULL DEFAULT '',
    create_time                    timestamptz NOT NULL,
    known_from                     timestamptz NOT NULL,
    revision                       integer NOT NULL
);
CREATE INDEX child_records_by_child ON child_records (child_id);

CREATE TABLE child_records_history (LIKE child_records);
ALTER TABLE child_records_history
    ADD COLUMN known_to timestamptz NOT NULL,
    ADD PRIMARY KEY (record_id, revision);

-- The index: one row a child.
CREATE TABLE children (
    child_id                       uuid PRIMARY KEY,
    state                          smallint NOT NULL,
    merged_into                    uuid,
    given_name                     text NOT NULL DEFAULT '',
    middle_names                   text NOT NULL DEFAULT '',
    family_name                    text NOT NULL DEFAULT '',
    preferred_given_name           text NOT NULL DEFAULT '',
    former_family_names            text[] NOT NULL DEFAULT '{}',
    date_of_birth                  date,
    expected_date_of_birth         date,
    date_of_death                  date,
    sex                            text NOT NULL DEFAULT '',
    nhs_number                     text NOT NULL DEFAULT '',
    nhs_number_omission_reason     text NOT NULL DEFAULT '',
    nhs_number_verification_status text NOT NULL DEFAULT '',
    upn                            text NOT NULL DEFAULT '',
    upn_unknown_reason             text NOT NULL DEFAULT '',
    former_upn                     text NOT NULL DEFAULT '',
    uln                            text NOT NULL DEFAULT '',
    la_child_id                    text NOT NULL DEFAULT '',
    address_lines                  text[] NOT NULL DEFAULT '{}',
    postcode                       text NOT NULL DEFAULT '',
    uprn                           text NOT NULL DEFAULT '',
    address_start_date             date,
    no_known_address               boolean NOT NULL DEFAULT false,
    telephone                      text NOT NULL DEFAULT '',
    email                          text NOT NULL DEFAULT '',
    school_urn                     text NOT NULL DEFAULT '',
    school_start_date              date,
    gp_practice_code               text NOT NULL DEFAULT '',
    ethnicity                      text NOT NULL DEFAULT '',
    disabilities                   text[] NOT NULL DEFAULT '{}',
    carers                         jsonb NOT NULL DEFAULT '[]',
    provenance                     jsonb NOT NULL DEFAULT '[]', -- [{"a":agency,"t":unix µs,"f":[field numbers]}]
    create_time                    timestamptz NOT NULL,
    known_from                     timestamptz NOT NULL,
    revision                       integer NOT NULL
);

CREATE TABLE children_history (LIKE children);
ALTER TABLE children_history
    ADD COLUMN known_to timestamptz NOT NULL,
    ADD PRIMARY KEY (child_id, revision);

-- Blocking keys of active records: what two records of one child are likely to share.
CREATE TABLE match_keys (
    key       bigint NOT NULL,
    record_id uuid NOT NULL,
    PRIMARY KEY (key, record_id)
);

-- Pairs of children that may be one, for a person to decide. review_id is
-- derived from the pair of record and candidate, so that one pair is one review.
CREATE TABLE match_reviews (
    review_id          uuid PRIMARY KEY,
    record_id          uuid NOT NULL,
    agency_id          text COLLATE "C" NOT NULL,
    local_id           text COLLATE "C" NOT NULL,
    candidate_child_id uuid NOT NULL,
    match              jsonb NOT NULL,
    create_time        timestamptz NOT NULL
);
CREATE INDEX match_reviews_by_record ON match_reviews (record_id);
CREATE INDEX match_reviews_by_age ON match_reviews (create_time, review_id);

-- Who is working with a child. involvement_id is derived from agency and local
-- id. A row follows its record when the record is linked to another child; the
-- record's local id is here too because record_id does not tell it.
CREATE TABLE involvements (
    child_id        uuid NOT NULL,
    involvement_id  uuid NOT NULL,
    agency_id       text COLLATE "C" NOT NULL,
    local_id        text COLLATE "C" NOT NULL,
    record_id       uuid,
    record_local_id text COLLATE "C" NOT NULL DEFAULT '',
    role            text NOT NULL,
    practitioner_id text COLLATE "C" NOT NULL DEFAULT '',
    start_date      date NOT NULL,
    end_date        date,
    sensitive       boolean NOT NULL DEFAULT false,
    sensitive_basis text NOT NULL DEFAULT '',
    create_time     timestamptz NOT NULL,
    known_from      timestamptz NOT NULL,
    revision        integer NOT NULL,
    PRIMARY KEY (child_id, involvement_id)
);
CREATE INDEX involvements_by_id ON involvements (involvement_id);

CREATE TABLE involvements_history (LIKE involvements);
ALTER TABLE involvements_history
    ADD COLUMN known_to timestamptz NOT NULL,
    ADD PRIMARY KEY (child_id, involvement_id, revision, known_to);

-- Lead professionals of a child, one period after another.
CREATE TABLE lead_professionals (
    child_id        uuid NOT NULL,
    start_date      date NOT NULL,
    end_date        date,
    involvement_id  uuid NOT NULL,
    agency_id       text COLLATE "C" NOT NULL,
    practitioner_id text COLLATE "C" NOT NULL,
    known_from      timestamptz NOT NULL,
    PRIMARY KEY (child_id, start_date)
);

CREATE TABLE lead_professionals_history (LIKE lead_professionals);
ALTER TABLE lead_professionals_history
    ADD COLUMN known_to timestamptz NOT NULL,
    ADD PRIMARY KEY (child_id, start_date, known_to);

CREATE TABLE imports (
    import_id       uuid PRIMARY KEY,
    agency_id       text COLLATE "C" NOT NULL,
    format          smallint NOT NULL,
    validate_only   boolean NOT NULL,
    state           smallint NOT NULL,
    rows            bigint NOT NULL DEFAULT 0,
    accepted        bigint NOT NULL DEFAULT 0,
    unchanged       bigint NOT NULL DEFAULT 0,
    rejected        bigint NOT NULL DEFAULT 0,
    queries         bigint NOT NULL DEFAULT 0,
    encoding        text NOT NULL DEFAULT '',
    ignored_columns text[] NOT NULL DEFAULT '{}',
    create_time     timestamptz NOT NULL,
    update_time     timestamptz NOT NULL
);

-- Faults of rows that an import refused. No values, so no personal data.
CREATE TABLE import_rejects (
    import_id   uuid NOT NULL,
    sequence    bigint NOT NULL,
    row         bigint NOT NULL,
    "column"    text NOT NULL,
    rule_id     text NOT NULL,
    description text NOT NULL,
    action      text NOT NULL,
    PRIMARY KEY (import_id, sequence)
);

-- The access log: one row an access, written before its answer leaves.
--
-- It is partitioned by month, by the key itself: an entry_id is a UUIDv7, which
-- begins with its time. The hub makes partitions ahead (internal/accesslog); what
-- falls outside them is taken by audit_entries_default, and moved later.
--
-- query is json, not jsonb: it is kept as it was written, byte for byte, because
-- its hash stands in the tree.
CREATE TABLE audit_entries (
    entry_id        uuid PRIMARY KEY,
    entry_time      timestamptz NOT NULL,
    agency_id       text COLLATE "C" NOT NULL,
    practitioner_id text COLLATE "C" NOT NULL DEFAULT '',
    role            text NOT NULL,
    on_behalf_of    text NOT NULL DEFAULT '',
    purpose         text NOT NULL DEFAULT '',
    reason          text NOT NULL DEFAULT '',
    method          text NOT NULL,
    decision        text NOT NULL, -- ALLOWED, DENIED, FAILED
    status_code     integer NOT NULL,
    children        uuid[] NOT NULL DEFAULT '{}',
    query           json,
    returned        text[] NOT NULL DEFAULT '{}',
    withheld        text[] NOT NULL DEFAULT '{}',
    client_address  text NOT NULL DEFAULT '',
    request_id      text NOT NULL DEFAULT ''
) PARTITION BY RANGE (entry_id);
CREATE INDEX audit_entries_by_caller ON audit_entries (agency_id, practitioner_id, entry_id);
CREATE TABLE audit_entries_default PARTITION OF audit_entries DEFAULT;

-- Entries that have no place in the tree yet. A row is written with its entry, in
-- one statement, and deleted with the making of its leaf: so an entry is in
-- exactly one of audit_queue and audit_leaves, and none can be passed over, in
-- whatever order transactions commit.
CREATE TABLE audit_queue (
    entry_id uuid NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_cost_delay = 0, vacuum_truncate = false);

-- The leaves of the tree: which entry stands where, and the salt of its personal
-- parts. When those are purged the salt goes, and their hash stays.
CREATE TABLE audit_leaves (
    leaf_index    bigint PRIMARY KEY,
    entry_id      uuid NOT NULL,
    salt          bytea,
    personal_hash bytea,
    CHECK ((salt IS NULL) <> (personal_hash IS NULL))
);
CREATE UNIQUE INDEX audit_leaves_by_entry ON audit_leaves (entry_id);

-- Which entries are about a child: made with the leaves, so that it costs no
-- reader of a child anything.
CREATE TABLE audit_child_entries (
    child_id uuid NOT NULL,
    entry_id uuid NOT NULL,
    PRIMARY KEY (child_id, entry_id)
);
CREATE INDEX children_by_merged_into ON children (merged_into) WHERE merged_into IS NOT NULL;

-- The hashes of the tree, in tiles of 256: those of the leaves on level 0; each of
-- a level above is the root of a whole tile below it (C2SP tlog-tiles). The last
-- tile of a level grows.
CREATE TABLE audit_tiles (
    level      smallint NOT NULL,
    tile_index bigint NOT NULL,
    hashes     bytea NOT NULL,
    PRIMARY KEY (level, tile_index)
);
ALTER TABLE audit_tiles ALTER COLUMN hashes SET STORAGE EXTERNAL; -- hashes cannot be compressed

-- Size and root of the tree, signed.
CREATE TABLE audit_checkpoints (
    tree_size bigint PRIMARY KEY,
    root_hash bytea NOT NULL,
    note      text NOT NULL,
    sign_time timestamptz NOT NULL
);

-- +goose Down
DROP TABLE audit_checkpoints, audit_tiles, audit_child_entries, audit_leaves,
    audit_queue, audit_entries, import_rejects, imports, lead_professionals_history,
    lead_professionals, involvements_history, involvements, match_reviews,
    match_keys, children_history, children, child_records_history,
    child_records, practitioners, agencies, hub_keys;
