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
