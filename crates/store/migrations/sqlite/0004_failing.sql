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
