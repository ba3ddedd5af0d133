-- Endpoints that fail: one row from the first failure until the next success.
CREATE TABLE failing (
    endpoint      bigint PRIMARY KEY,
    -- When it began. A success among the attempts after it ends it.
    since         bigint NOT NULL,
    after_attempt bigint NOT NULL,
    -- What counts towards disabling: all of it, or what came after the endpoint was enabled again.
    count         bigint NOT NULL,
    count_since   bigint NOT NULL,
    -- Unrecoverable answers in a row at the end.
    row_count     bigint NOT NULL,
    row_since     bigint NOT NULL,
    -- The last answer, as JSON.
    last          text NOT NULL
) WITH (fillfactor = 50);
-- When the server itself disabled it, and after which answer (JSON).
ALTER TABLE endpoint ADD COLUMN disabled_at bigint;
ALTER TABLE endpoint ADD COLUMN disabled_answer text;
-- Background tasks: many messages sent to one endpoint again.
CREATE TABLE task (
    id          text COLLATE "C" PRIMARY KEY,
    environment bigint NOT NULL,
    application bigint NOT NULL,
    endpoint    bigint NOT NULL,
    kind        text NOT NULL,
    -- Which messages, as JSON.
    plan        text NOT NULL,
    status      text NOT NULL CHECK (status IN ('running', 'finished', 'failed')),
    -- The last message that was looked at.
    position    bigint NOT NULL,
    looked      bigint NOT NULL,
    queued      bigint NOT NULL,
    error       text,
    created_at  bigint NOT NULL,
    updated_at  bigint NOT NULL
);
CREATE INDEX task_list ON task (environment, id);
CREATE INDEX task_running ON task (updated_at) WHERE status = 'running';
CREATE INDEX task_ended ON task (updated_at) WHERE status <> 'running';
