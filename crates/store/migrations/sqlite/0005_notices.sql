-- What people and operational webhooks are told of endpoints, once an episode.
CREATE TABLE notice (
    key           INTEGER PRIMARY KEY AUTOINCREMENT,
    application   INTEGER NOT NULL,
    endpoint      INTEGER NOT NULL,
    kind          TEXT NOT NULL,
    episode       INTEGER NOT NULL,
    subject       TEXT NOT NULL,
    at            INTEGER NOT NULL,
    is_for_people INTEGER NOT NULL CHECK (is_for_people IN (0, 1)),
    -- What is known, as JSON.
    facts         TEXT NOT NULL,
    -- Whether its letters are written, and operational webhooks have it.
    told          INTEGER NOT NULL DEFAULT 0 CHECK (told IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX notice_once ON notice (endpoint, kind, episode, subject);
CREATE INDEX notice_untold ON notice (is_for_people, key) WHERE told = 0;
CREATE INDEX notice_list ON notice (application, key) WHERE is_for_people = 1;
CREATE INDEX notice_at ON notice (at);

-- One for each notice, channel and recipient.
CREATE TABLE letter (
    key        INTEGER PRIMARY KEY AUTOINCREMENT,
    notice     INTEGER NOT NULL,
    channel    TEXT NOT NULL,
    -- A fingerprint of whom it goes to.
    recipient  TEXT NOT NULL,
    sealed_to  BLOB NOT NULL,
    -- 0 waits, 1 was sent, 2 never will be.
    state      INTEGER NOT NULL,
    written_at INTEGER NOT NULL,
    -- Why it never will be.
    error      TEXT
) STRICT;
CREATE UNIQUE INDEX letter_once ON letter (notice, channel, recipient);
CREATE INDEX letter_waiting ON letter (channel, recipient, key) WHERE state = 0;

-- Who has letters, and when they may go: it is also what keeps two nodes from sending the same.
CREATE TABLE recipient (
    channel   TEXT NOT NULL,
    recipient TEXT NOT NULL,
    next_at   INTEGER NOT NULL,
    -- How many letters wait.
    waiting   INTEGER NOT NULL,
    -- Tries in a row that failed, and why the last one did.
    tries     INTEGER NOT NULL,
    error     TEXT,
    PRIMARY KEY (channel, recipient)
) STRICT, WITHOUT ROWID;
CREATE INDEX recipient_waiting ON recipient (channel, next_at) WHERE waiting > 0;
CREATE INDEX recipient_idle ON recipient (next_at) WHERE waiting = 0;

-- Who hears of an application's endpoints.
CREATE TABLE notify (
    application  INTEGER PRIMARY KEY,
    sealed_value BLOB NOT NULL
) STRICT;

CREATE TABLE push_subscription (
    key          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    application  INTEGER NOT NULL,
    sealed_value BLOB NOT NULL,
    created_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX push_subscription_list ON push_subscription (application, id);

-- Who wants no e-mails about an application.
CREATE TABLE unsubscribed (
    application INTEGER NOT NULL,
    recipient   TEXT NOT NULL,
    PRIMARY KEY (application, recipient)
) STRICT, WITHOUT ROWID;
