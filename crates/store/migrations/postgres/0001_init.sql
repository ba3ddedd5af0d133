-- The first schema. Why these tables and no others: ARCHITECTURE.md, "A log, a checkpoint, and a table of exceptions".
-- Integers named …_at are milliseconds since 1970, those named …_day are days since then. Columns named sealed_… hold
-- AES-256-GCM text. Partitions of the log are made ahead and dropped by the program (store/src/postgres/partition.rs).

-- One row: every change of what is configured takes the next version, under this row's lock, so that versions become
-- visible in their order and a node that has read up to one has missed nothing below it.
CREATE TABLE configuration (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    version bigint NOT NULL
);
INSERT INTO configuration (version) VALUES (0);

-- One value sealed with the encryption key, so that another key is noticed while nothing else is sealed.
CREATE TABLE seal_check (
    one          boolean PRIMARY KEY DEFAULT true CHECK (one),
    sealed_value bytea NOT NULL
);

CREATE TABLE environment (
    key               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id                text NOT NULL UNIQUE,
    signature_headers text NOT NULL CHECK (signature_headers IN ('webhook', 'svix', 'both')),
    created_at        bigint NOT NULL,
    version           bigint NOT NULL
);
CREATE INDEX environment_version ON environment (version);

CREATE TABLE application (
    key           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    environment   bigint NOT NULL REFERENCES environment (key),
    id            text COLLATE "C" NOT NULL UNIQUE,
    uid           text COLLATE "C",
    name          text NOT NULL,
    throttle_rate integer,
    metadata      text NOT NULL,
    created_at    bigint NOT NULL,
    updated_at    bigint NOT NULL,
    -- A deleted application keeps its row, without its uid, so that every node hears of it.
    deleted_at    bigint,
    version       bigint NOT NULL
);
CREATE UNIQUE INDEX application_uid ON application (environment, uid) WHERE uid IS NOT NULL;
CREATE INDEX application_list ON application (environment, id) WHERE deleted_at IS NULL;
CREATE INDEX application_version ON application (version);

CREATE TABLE endpoint (
    key             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    application     bigint NOT NULL REFERENCES application (key),
    id              text COLLATE "C" NOT NULL UNIQUE,
    uid             text COLLATE "C",
    url             text NOT NULL,
    description     text NOT NULL,
    metadata        text NOT NULL,
    disabled        boolean NOT NULL,
    disabled_reason text,
    paused          boolean NOT NULL,
    event_types     text,
    channels        text,
    throttle_rate   integer,
    sealed_headers  bytea NOT NULL,
    sealed_secrets  bytea NOT NULL,
    created_at      bigint NOT NULL,
    updated_at      bigint NOT NULL,
    -- A deleted endpoint keeps its row, without secrets, headers and uid: its attempts still name it.
    deleted_at      bigint,
    version         bigint NOT NULL
);
CREATE UNIQUE INDEX endpoint_uid ON endpoint (application, uid) WHERE uid IS NOT NULL;
CREATE INDEX endpoint_list ON endpoint (application, id) WHERE deleted_at IS NULL;
CREATE INDEX endpoint_version ON endpoint (version);

CREATE TABLE event_type (
    environment   bigint NOT NULL REFERENCES environment (key),
    name          text COLLATE "C" NOT NULL,
    description   text NOT NULL,
    archived      boolean NOT NULL,
    deprecated    boolean NOT NULL,
    schemas       text,
    group_name    text,
    feature_flags jsonb,
    created_at    bigint NOT NULL,
    updated_at    bigint NOT NULL,
    -- Counts its changes: two nodes that change it at once both hold.
    version       bigint NOT NULL,
    PRIMARY KEY (environment, name)
);

-- Append-only. `endpoints` is the matched set, fixed at accept. A partition a day of the id.
CREATE TABLE message (
    id                 bigint NOT NULL PRIMARY KEY,
    application        bigint NOT NULL,
    lease              bigint NOT NULL,
    event_type         text NOT NULL,
    event_id           text,
    channels           jsonb,
    tags               jsonb,
    endpoints          bigint[] NOT NULL,
    -- Where the payload lies, and its size.
    payload_day        integer NOT NULL,
    payload_bytes      integer NOT NULL,
    payload_expires_at bigint,
    deliver_at         bigint,
    sealed_overrides   bytea,
    key_hash           bytea
) PARTITION BY RANGE (id);
CREATE INDEX message_list ON message (application, id);

-- A partition a day on which payloads expire, so that they go without a row being touched.
CREATE TABLE payload (
    day     integer NOT NULL,
    message bigint NOT NULL,
    bytes   bytea NOT NULL,
    PRIMARY KEY (day, message)
) PARTITION BY RANGE (day);
-- Compressing costs more than it saves on what is written once and read once.
ALTER TABLE payload ALTER COLUMN bytes SET STORAGE EXTERNAL;

-- Append-only. A partition a day of the id.
CREATE TABLE attempt (
    id          bigint NOT NULL PRIMARY KEY,
    message     bigint NOT NULL,
    endpoint    bigint NOT NULL,
    run         bigint NOT NULL,
    number      integer NOT NULL,
    trigger     smallint NOT NULL CHECK (trigger BETWEEN 0 AND 4),
    outcome     smallint NOT NULL CHECK (outcome BETWEEN 0 AND 4),
    disposition smallint NOT NULL CHECK (disposition BETWEEN 0 AND 2),
    started_at  bigint NOT NULL,
    duration_ms bigint NOT NULL,
    status      integer NOT NULL,
    url         text NOT NULL,
    response    bytea NOT NULL
) PARTITION BY RANGE (id);
ALTER TABLE attempt ALTER COLUMN response SET STORAGE EXTERNAL;
CREATE INDEX attempt_by_disposition ON attempt (endpoint, disposition, id);
CREATE INDEX attempt_by_delivery ON attempt (endpoint, message, run);

-- One for each running process, and for each that has not been settled (PROTOCOL rules 1 and 5).
CREATE TABLE lease (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node       smallint NOT NULL UNIQUE CHECK (node BETWEEN 0 AND 1023),
    state      text NOT NULL CHECK (state IN ('live', 'dead')),
    expires_at timestamptz NOT NULL,
    checkpoint bigint NOT NULL,
    ceiling    bigint NOT NULL
    -- No index on what a heartbeat writes, and room beside each row: its updates stay on their page (HOT).
) WITH (fillfactor = 20, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0);

-- The exceptions: only what its first try did not settle. Held by a lease between claim and record (rule 10).
CREATE TABLE delivery (
    endpoint bigint NOT NULL,
    message  bigint NOT NULL,
    run      bigint NOT NULL,
    state    smallint NOT NULL CHECK (state IN (0, 1)),
    due_at   bigint NOT NULL,
    attempts integer NOT NULL,
    trigger  smallint NOT NULL CHECK (trigger BETWEEN 0 AND 4),
    -- How often a process died while it held this row (rule 14).
    rescued  smallint NOT NULL DEFAULT 0,
    lease    bigint,
    claim    bigint,
    PRIMARY KEY (endpoint, message, run),
    CHECK ((lease IS NULL) = (claim IS NULL))
) WITH (fillfactor = 80, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0.02,
        autovacuum_vacuum_insert_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX delivery_due ON delivery (endpoint, due_at, message) WHERE state = 0 AND lease IS NULL;
CREATE INDEX delivery_lease ON delivery (lease, endpoint) WHERE lease IS NOT NULL;
-- For prune, which goes by message.
CREATE INDEX delivery_message ON delivery (message);

-- Event ids (kind 0, by application) and explicit idempotency keys (kind 1, by hash).
CREATE TABLE message_key (
    application bigint NOT NULL,
    kind        smallint NOT NULL CHECK (kind IN (0, 1)),
    key         bytea NOT NULL,
    message     bigint NOT NULL,
    body_hash   bytea,
    expires_at  bigint NOT NULL,
    PRIMARY KEY (application, kind, key)
);
CREATE INDEX message_key_expiry ON message_key (expires_at);

-- Answers to requests other than messages, by the hash of their idempotency key.
CREATE TABLE replay (
    hash        bytea PRIMARY KEY,
    body_hash   bytea NOT NULL,
    status      integer NOT NULL,
    sealed_body bytea NOT NULL,
    expires_at  bigint NOT NULL
);
CREATE INDEX replay_expiry ON replay (expires_at);

CREATE TABLE api_key (
    id          text PRIMARY KEY,
    environment bigint NOT NULL REFERENCES environment (key),
    application bigint,
    role        text NOT NULL CHECK (role IN ('viewer', 'member', 'manager', 'administrator')),
    name        text NOT NULL,
    prefix      text NOT NULL,
    sha256      bytea NOT NULL UNIQUE,
    created_at  bigint NOT NULL,
    revoked_at  bigint
);
CREATE INDEX api_key_list ON api_key (environment, created_at);
