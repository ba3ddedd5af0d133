-- Endpoints that fail: one row from the first failure until the next success.
CREATE TABLE failing (
    endpoint      INTEGER PRIMARY KEY,
    -- When it began. A success among the attempts after it ends it.
    since         INTEGER NOT NULL,
    after_attempt INTEGER NOT NULL,
    -- What counts towards disabling: all of it, or what came after the endpoint was enabled again.
    count         INTEGER NOT NULL,
    count_since   INTEGER NOT NULL,
    -- Unrecoverable answers in a row at the end.
    row_count     INTEGER NOT NULL,
    row_since     INTEGER NOT NULL,
    -- The last answer, as JSON.
    last          TEXT NOT NULL
) STRICT;
-- When the server itself disabled it, and after which answer (JSON).
ALTER TABLE endpoint ADD COLUMN disabled_at INTEGER;
ALTER TABLE endpoint ADD COLUMN disabled_answer TEXT;
-- Background tasks: many messages sent to one endpoint again.
CREATE TABLE task (
    id          TEXT PRIMARY KEY,
    environment INTEGER NOT NULL,
    application INTEGER NOT NULL,
    endpoint    INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    -- Which messages, as JSON.
    plan        TEXT NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('running', 'finished', 'failed')),
    -- The last message that was looked at.
    position    INTEGER NOT NULL,
    looked      INTEGER NOT NULL,
    queued      INTEGER NOT NULL,
    error       TEXT,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX task_list ON task (environment, id);
CREATE INDEX task_running ON task (updated_at) WHERE status = 'running';
CREATE INDEX task_ended ON task (updated_at) WHERE status <> 'running';
