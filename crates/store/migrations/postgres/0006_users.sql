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
