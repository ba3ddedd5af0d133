-- How far `posthaste copy` has come. A step for each table, by its name, and `source` with the last lease of the file that is
-- copied; no rows when none is under way. While there are any, no node starts on this database.
CREATE TABLE copying (
    step     text PRIMARY KEY,
    position bigint NOT NULL
);
