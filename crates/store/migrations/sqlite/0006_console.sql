-- The console (docs/console.md): people, portal links, the audit log, statistics.

-- People who sign in to the console. (`user` alone is a word of SQL's own.)
CREATE TABLE users (
    key         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    -- In lower case.
    email       TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    -- A hash (argon2id, PHC text); none until they choose a password.
    password    TEXT,
    -- The second factor, and the step of the last code that was taken.
    sealed_totp BLOB,
    totp_step   INTEGER NOT NULL DEFAULT 0,
    created_at  INTEGER NOT NULL
) STRICT;

-- Who may do what where. Application 0 is the whole instance.
CREATE TABLE membership (
    user_key    INTEGER NOT NULL REFERENCES users (key) ON DELETE CASCADE,
    application INTEGER NOT NULL,
    role        TEXT NOT NULL CHECK (role IN ('administrator', 'manager', 'member', 'viewer')),
    PRIMARY KEY (user_key, application)
) STRICT, WITHOUT ROWID;
CREATE INDEX membership_application ON membership (application, user_key);

-- Where people are signed in, under the SHA-256 of what the cookie holds.
CREATE TABLE browser (
    sha256     BLOB PRIMARY KEY,
    user_key   INTEGER NOT NULL REFERENCES users (key) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL,
    address    TEXT NOT NULL,
    agent      TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX browser_user ON browser (user_key, seen_at);
CREATE INDEX browser_seen ON browser (seen_at);
CREATE INDEX browser_ends ON browser (ends_at);

-- Links that were given to people, and what a form holds between a password and a code, under the SHA-256 of each.
CREATE TABLE ticket (
    sha256     BLOB PRIMARY KEY,
    user_key   INTEGER NOT NULL REFERENCES users (key) ON DELETE CASCADE,
    purpose    TEXT NOT NULL CHECK (purpose IN ('password', 'sign_in', 'second_factor')),
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX ticket_user ON ticket (user_key);
CREATE INDEX ticket_expires ON ticket (expires_at);

-- Who users are at an identity provider (OpenID Connect): one identity of an issuer for each user, and one user for each identity.
CREATE TABLE identity (
    issuer     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    user_key   INTEGER NOT NULL REFERENCES users (key) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject),
    UNIQUE (user_key, issuer)
) STRICT, WITHOUT ROWID;

-- When a key was last used, to the minute.
ALTER TABLE api_key ADD COLUMN used_at INTEGER;

-- Links that open the console for one application, under the SHA-256 of what each holds.
CREATE TABLE portal (
    sha256        BLOB PRIMARY KEY,
    application   INTEGER NOT NULL,
    -- Words, separated by blanks.
    capabilities  TEXT NOT NULL,
    feature_flags TEXT NOT NULL,
    -- What the back end calls it.
    session_id    TEXT,
    expires_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX portal_application ON portal (application);
CREATE INDEX portal_expires ON portal (expires_at);

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
    actor_kind   TEXT NOT NULL CHECK (actor_kind IN ('nobody', 'user', 'api_key', 'token', 'guest', 'operator', 'server')),
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

-- What each hour brought, counted behind the log (docs/decisions/0016). Application 0 is the whole environment; hours are counted
-- since 1970.
CREATE TABLE statistics (
    application INTEGER NOT NULL,
    environment INTEGER NOT NULL,
    hour        INTEGER NOT NULL,
    accepted    INTEGER NOT NULL,
    delivered   INTEGER NOT NULL,
    failed      INTEGER NOT NULL,
    given_up    INTEGER NOT NULL,
    -- How many deliveries took how long, as class:count pairs.
    durations   TEXT NOT NULL,
    PRIMARY KEY (application, environment, hour)
) STRICT, WITHOUT ROWID;
CREATE INDEX statistics_hour ON statistics (hour);

-- The last message and the last attempt that were counted.
CREATE TABLE statistics_position (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    message INTEGER NOT NULL,
    attempt INTEGER NOT NULL
) STRICT;
INSERT INTO statistics_position VALUES (1, 0, 0);
