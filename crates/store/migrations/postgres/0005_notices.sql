-- What people and operational webhooks are told of endpoints, once an episode.
CREATE TABLE notice (
    key           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    application   bigint NOT NULL,
    endpoint      bigint NOT NULL,
    kind          text COLLATE "C" NOT NULL,
    episode       bigint NOT NULL,
    subject       text COLLATE "C" NOT NULL,
    at            bigint NOT NULL,
    is_for_people boolean NOT NULL,
    -- What is known, as JSON.
    facts         text NOT NULL,
    -- Whether its letters are written, and operational webhooks have it.
    told          boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX notice_once ON notice (endpoint, kind, episode, subject);
CREATE INDEX notice_untold ON notice (is_for_people, key) WHERE NOT told;
CREATE INDEX notice_list ON notice (application, key) WHERE is_for_people;
CREATE INDEX notice_at ON notice (at);

-- One for each notice, channel and recipient.
CREATE TABLE letter (
    key        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    notice     bigint NOT NULL,
    channel    text COLLATE "C" NOT NULL,
    -- A fingerprint of whom it goes to.
    recipient  text COLLATE "C" NOT NULL,
    sealed_to  bytea NOT NULL,
    -- 0 waits, 1 was sent, 2 never will be.
    state      bigint NOT NULL,
    written_at bigint NOT NULL,
    -- Why it never will be.
    error      text
);
CREATE UNIQUE INDEX letter_once ON letter (notice, channel, recipient);
CREATE INDEX letter_waiting ON letter (channel, recipient, key) WHERE state = 0;

-- Who has letters, and when they may go: it is also what keeps two nodes from sending the same.
CREATE TABLE recipient (
    channel   text COLLATE "C" NOT NULL,
    recipient text COLLATE "C" NOT NULL,
    next_at   bigint NOT NULL,
    -- How many letters wait.
    waiting   bigint NOT NULL,
    -- Tries in a row that failed, and why the last one did.
    tries     bigint NOT NULL,
    error     text,
    PRIMARY KEY (channel, recipient)
);
CREATE INDEX recipient_waiting ON recipient (channel, next_at) WHERE waiting > 0;
CREATE INDEX recipient_idle ON recipient (next_at) WHERE waiting = 0;

-- Who hears of an application's endpoints.
CREATE TABLE notify (
    application  bigint PRIMARY KEY,
    sealed_value bytea NOT NULL
);

CREATE TABLE push_subscription (
    key          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id           text COLLATE "C" NOT NULL UNIQUE,
    application  bigint NOT NULL,
    sealed_value bytea NOT NULL,
    created_at   bigint NOT NULL
);
CREATE INDEX push_subscription_list ON push_subscription (application, id);

-- Who wants no e-mails about an application.
CREATE TABLE unsubscribed (
    application bigint NOT NULL,
    recipient   text COLLATE "C" NOT NULL,
    PRIMARY KEY (application, recipient)
);
