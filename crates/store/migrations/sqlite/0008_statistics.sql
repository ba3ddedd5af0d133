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
