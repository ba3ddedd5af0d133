-- How far `posthaste copy` has come: a step for each table, by its name; `source` with the mark of the file that is copied, while it
-- is (no node takes a lease then); `retention`; and `whole` with that mark afterwards. No rows where nothing was ever copied.
CREATE TABLE copying (
    step     text PRIMARY KEY,
    position bigint NOT NULL
);
