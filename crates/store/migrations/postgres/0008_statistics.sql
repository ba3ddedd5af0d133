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
