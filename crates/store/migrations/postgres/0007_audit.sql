-- Who did what to what, when, and from where. Entries stay when what they tell of is gone: nothing refers to anything.
CREATE TABLE audit (
    key          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           bigint NOT NULL,
    -- 0 is the whole instance.
    environment  bigint NOT NULL,
    -- 0 is none.
    application  bigint NOT NULL,
    -- What the application was called then.
    place        text NOT NULL,
    actor_kind   text COLLATE "C" NOT NULL
                 CHECK (actor_kind IN ('nobody', 'user', 'api_key', 'token', 'operator', 'server')),
    actor_id     text COLLATE "C" NOT NULL,
    actor_name   text COLLATE "C" NOT NULL,
    address      text NOT NULL,
    action       text COLLATE "C" NOT NULL,
    subject_kind text COLLATE "C" NOT NULL,
    subject_id   text COLLATE "C" NOT NULL,
    subject_name text NOT NULL,
    -- Fields that changed, as JSON, without secrets.
    before       text,
    after        text
);
CREATE INDEX audit_environment ON audit (environment, key);
CREATE INDEX audit_application ON audit (application, key) WHERE application <> 0;
CREATE INDEX audit_at ON audit (at);
