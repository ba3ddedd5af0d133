-- The first schema. Why these tables and no others: ARCHITECTURE.md, "A log, a checkpoint, and a table of exceptions".
-- Integers named …_at are milliseconds since 1970. Columns named sealed_… hold AES-256-GCM text.

CREATE TABLE environment (
    key               INTEGER PRIMARY KEY,
    id                TEXT NOT NULL UNIQUE,
    signature_headers TEXT NOT NULL CHECK (signature_headers IN ('webhook', 'svix', 'both')),
    created_at        INTEGER NOT NULL
) STRICT;

CREATE TABLE application (
    key           INTEGER PRIMARY KEY AUTOINCREMENT,
    environment   INTEGER NOT NULL REFERENCES environment (key),
    id            TEXT NOT NULL UNIQUE,
    uid           TEXT,
    name          TEXT NOT NULL,
    throttle_rate INTEGER,
    metadata      TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX application_uid ON application (environment, uid) WHERE uid IS NOT NULL;
CREATE INDEX application_list ON application (environment, id);

CREATE TABLE endpoint (
    key             INTEGER PRIMARY KEY AUTOINCREMENT,
    application     INTEGER NOT NULL REFERENCES application (key),
    id              TEXT NOT NULL UNIQUE,
    uid             TEXT,
    url             TEXT NOT NULL,
    description     TEXT NOT NULL,
    metadata        TEXT NOT NULL,
    disabled        INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    disabled_reason TEXT,
    paused          INTEGER NOT NULL CHECK (paused IN (0, 1)),
    event_types     TEXT,
    channels        TEXT,
    throttle_rate   INTEGER,
    sealed_headers  BLOB NOT NULL,
    sealed_secrets  BLOB NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    -- A deleted endpoint keeps its row, without secrets, headers and uid: its attempts still name it.
    deleted_at      INTEGER
) STRICT;
CREATE UNIQUE INDEX endpoint_uid ON endpoint (application, uid) WHERE uid IS NOT NULL;
CREATE INDEX endpoint_list ON endpoint (application, id) WHERE deleted_at IS NULL;

CREATE TABLE event_type (
    environment   INTEGER NOT NULL REFERENCES environment (key),
    name          TEXT NOT NULL,
    description   TEXT NOT NULL,
    archived      INTEGER NOT NULL CHECK (archived IN (0, 1)),
    deprecated    INTEGER NOT NULL CHECK (deprecated IN (0, 1)),
    schemas       TEXT,
    group_name    TEXT,
    feature_flags TEXT,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    PRIMARY KEY (environment, name)
) STRICT, WITHOUT ROWID;

-- Append-only. `endpoints` is the matched set, fixed at accept, as a JSON array of endpoint keys.
CREATE TABLE message (
    id                 INTEGER PRIMARY KEY,
    application        INTEGER NOT NULL,
    lease              INTEGER NOT NULL,
    event_type         TEXT NOT NULL,
    event_id           TEXT,
    channels           TEXT,
    tags               TEXT,
    endpoints          TEXT NOT NULL,
    payload            BLOB,
    payload_expires_at INTEGER,
    deliver_at         INTEGER,
    sealed_overrides   BLOB,
    key_hash           BLOB,
    body_hash          BLOB
) STRICT;
CREATE INDEX message_list ON message (application, id);
CREATE INDEX message_payload_expiry ON message (payload_expires_at) WHERE payload_expires_at IS NOT NULL;

-- Append-only.
CREATE TABLE attempt (
    id          INTEGER PRIMARY KEY,
    message     INTEGER NOT NULL,
    endpoint    INTEGER NOT NULL,
    run         INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    trigger     INTEGER NOT NULL CHECK (trigger BETWEEN 0 AND 4),
    outcome     INTEGER NOT NULL CHECK (outcome BETWEEN 0 AND 4),
    disposition INTEGER NOT NULL CHECK (disposition BETWEEN 0 AND 2),
    started_at  INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    status      INTEGER NOT NULL,
    url         TEXT NOT NULL,
    response    BLOB NOT NULL
) STRICT;
CREATE INDEX attempt_by_disposition ON attempt (endpoint, disposition, id);
CREATE INDEX attempt_by_delivery ON attempt (endpoint, message, run);

-- The exceptions: only what its first try did not settle.
CREATE TABLE delivery (
    endpoint INTEGER NOT NULL,
    message  INTEGER NOT NULL,
    run      INTEGER NOT NULL,
    state    INTEGER NOT NULL CHECK (state IN (0, 1)),
    due_at   INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    trigger  INTEGER NOT NULL CHECK (trigger BETWEEN 0 AND 4),
    PRIMARY KEY (endpoint, message, run)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_due ON delivery (endpoint, due_at, message) WHERE state = 0;

CREATE TABLE lease (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    node       INTEGER NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('live', 'dead')),
    checkpoint INTEGER NOT NULL
) STRICT;

-- Event ids (kind 0, by application) and explicit idempotency keys (kind 1, by hash).
CREATE TABLE message_key (
    application INTEGER NOT NULL,
    kind        INTEGER NOT NULL CHECK (kind IN (0, 1)),
    key         BLOB NOT NULL,
    message     INTEGER NOT NULL,
    body_hash   BLOB,
    expires_at  INTEGER NOT NULL,
    PRIMARY KEY (application, kind, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX message_key_expiry ON message_key (expires_at);

-- Answers to requests other than messages, by the hash of their idempotency key.
CREATE TABLE replay (
    hash        BLOB PRIMARY KEY,
    body_hash   BLOB NOT NULL,
    status      INTEGER NOT NULL,
    sealed_body BLOB NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX replay_expiry ON replay (expires_at);

CREATE TABLE api_key (
    id          TEXT PRIMARY KEY,
    environment INTEGER NOT NULL REFERENCES environment (key),
    application INTEGER,
    role        TEXT NOT NULL CHECK (role IN ('viewer', 'member', 'manager', 'administrator')),
    name        TEXT NOT NULL,
    prefix      TEXT NOT NULL,
    sha256      BLOB NOT NULL UNIQUE,
    created_at  INTEGER NOT NULL,
    revoked_at  INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX api_key_list ON api_key (environment, created_at);
