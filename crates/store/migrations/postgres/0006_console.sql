-- The console (docs/console.md): people, portal links, the audit log, statistics.

-- People who sign in to the console. (`user` alone is a word of SQL's own.)
CREATE TABLE users (
    key         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          text COLLATE "C" NOT NULL UNIQUE,
    -- In lower case.
    email       text COLLATE "C" NOT NULL UNIQUE,
    name        text NOT NULL,
    -- A hash (argon2id, PHC text); none until they choose a password.
    password    text,
    -- The second factor, and the step of the last code that was taken.
    sealed_totp bytea,
    totp_step   bigint NOT NULL DEFAULT 0,
    created_at  bigint NOT NULL,
    -- Whether they set the instance up: two nodes that do at the same moment do not see each other's row, the index does.
    is_first    boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX users_first ON users (is_first) WHERE is_first;

-- Who may do what where. Application 0 is the whole instance. (What comes while a user is deleted goes with them, too: no
-- statement sees it, the reference does.)
CREATE TABLE membership (
    user_key    bigint NOT NULL REFERENCES users (key) ON DELETE CASCADE,
    application bigint NOT NULL,
    role        text COLLATE "C" NOT NULL CHECK (role IN ('administrator', 'manager', 'member', 'viewer')),
    PRIMARY KEY (user_key, application)
);
CREATE INDEX membership_application ON membership (application, user_key);

-- Where people are signed in, under the SHA-256 of what the cookie holds.
CREATE TABLE browser (
    sha256     bytea PRIMARY KEY,
    user_key   bigint NOT NULL REFERENCES users (key) ON DELETE CASCADE,
    created_at bigint NOT NULL,
    seen_at    bigint NOT NULL,
    ends_at    bigint NOT NULL,
    address    text NOT NULL,
    agent      text NOT NULL
);
CREATE INDEX browser_user ON browser (user_key, seen_at);
CREATE INDEX browser_seen ON browser (seen_at);
CREATE INDEX browser_ends ON browser (ends_at);

-- Links that were given to people, and what a form holds between a password and a code, under the SHA-256 of each.
CREATE TABLE ticket (
    sha256     bytea PRIMARY KEY,
    user_key   bigint NOT NULL REFERENCES users (key) ON DELETE CASCADE,
    purpose    text COLLATE "C" NOT NULL CHECK (purpose IN ('password', 'sign_in', 'second_factor')),
    expires_at bigint NOT NULL
);
CREATE INDEX ticket_user ON ticket (user_key);
CREATE INDEX ticket_expires ON ticket (expires_at);

-- Who users are at an identity provider (OpenID Connect): one identity of an issuer for each user, and one user for each identity.
CREATE TABLE identity (
    issuer     text COLLATE "C" NOT NULL,
    subject    text COLLATE "C" NOT NULL,
    user_key   bigint NOT NULL REFERENCES users (key) ON DELETE CASCADE,
    created_at bigint NOT NULL,
    PRIMARY KEY (issuer, subject),
    UNIQUE (user_key, issuer)
);

-- When a key was last used, to the minute.
ALTER TABLE api_key ADD COLUMN used_at bigint;

-- Links that open the console for one application, under the SHA-256 of what each holds.
CREATE TABLE portal (
    sha256        bytea PRIMARY KEY,
    application   bigint NOT NULL,
    -- Words, separated by blanks.
    capabilities  text COLLATE "C" NOT NULL,
    feature_flags text COLLATE "C" NOT NULL,
    -- What the back end calls it.
    session_id    text COLLATE "C",
    expires_at    bigint NOT NULL
);
CREATE INDEX portal_application ON portal (application);
CREATE INDEX portal_expires ON portal (expires_at);

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
                 CHECK (actor_kind IN ('nobody', 'user', 'api_key', 'token', 'guest', 'operator', 'server')),
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

-- What each hour brought, counted behind the log (docs/decisions/0016). Application 0 is the whole environment; hours are counted
-- since 1970. The rows of the present hour change every ten seconds: room beside each keeps them on their page (HOT).
CREATE TABLE statistics (
    application bigint NOT NULL,
    environment bigint NOT NULL,
    hour        bigint NOT NULL,
    accepted    bigint NOT NULL,
    delivered   bigint NOT NULL,
    failed      bigint NOT NULL,
    given_up    bigint NOT NULL,
    -- How many deliveries took how long, as class:count pairs.
    durations   text NOT NULL,
    PRIMARY KEY (application, environment, hour)
) WITH (fillfactor = 70);
CREATE INDEX statistics_hour ON statistics (hour);

-- The last message and the last attempt that were counted.
CREATE TABLE statistics_position (
    one     integer PRIMARY KEY CHECK (one = 1),
    message bigint NOT NULL,
    attempt bigint NOT NULL
) WITH (fillfactor = 20);
INSERT INTO statistics_position VALUES (1, 0, 0);
