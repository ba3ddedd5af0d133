-- Who did what to what, when, and from where. Entries stay when what they tell of is gone: nothing refers to anything.
CREATE TABLE audit (
    key          INTEGER PRIMARY KEY AUTOINCREMENT,
    at           INTEGER NOT NULL,
    -- 0 is the whole instance.
    environment  INTEGER NOT NULL,
    -- 0 is none.
    application  INTEGER NOT NULL,
    -- What the application was called then.
    place        TEXT NOT NULL,
    actor_kind   TEXT NOT NULL CHECK (actor_kind IN ('nobody', 'user', 'api_key', 'token', 'operator', 'server')),
    actor_id     TEXT NOT NULL,
    actor_name   TEXT NOT NULL,
    address      TEXT NOT NULL,
    action       TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    subject_id   TEXT NOT NULL,
    subject_name TEXT NOT NULL,
    -- Fields that changed, as JSON, without secrets.
    before       TEXT,
    after        TEXT
) STRICT;
CREATE INDEX audit_environment ON audit (environment, key);
CREATE INDEX audit_application ON audit (application, key) WHERE application <> 0;
CREATE INDEX audit_at ON audit (at);
