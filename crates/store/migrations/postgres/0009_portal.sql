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
