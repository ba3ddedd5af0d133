-- What a webhook can be told beyond the wire's fields, as JSON; what is at its default is left out.
ALTER TABLE endpoint ADD COLUMN options text NOT NULL DEFAULT '{}';
-- Authentication, certificates and signatures; NULL where all are at their defaults.
ALTER TABLE endpoint ADD COLUMN sealed_credentials bytea;
-- Asked about by each claim.
ALTER TABLE endpoint ADD COLUMN ordered boolean NOT NULL
    GENERATED ALWAYS AS ((options::jsonb -> 'ordered') IS NOT DISTINCT FROM 'true'::jsonb) STORED;

-- The place of a delivery in the order of its endpoint (PROTOCOL rule 16); NULL where there is none, which comes first: rows of
-- before the endpoint was ordered.
ALTER TABLE delivery ADD COLUMN position bigint;
-- The counters of places: one row for each ordered endpoint, locked until the accept that takes places is committed.
CREATE TABLE ordered (
    endpoint bigint PRIMARY KEY,
    next     bigint NOT NULL
) WITH (fillfactor = 20, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0);
-- What an environment can be told, as JSON; what is at its default is left out.
ALTER TABLE environment ADD COLUMN settings text NOT NULL DEFAULT '{}';
-- What an event type says about retries, as JSON; NULL where it says nothing.
ALTER TABLE event_type ADD COLUMN retries text;
-- The key of the wire ids: made from the encryption key that the store had first, and kept when that is replaced.
ALTER TABLE seal_check ADD COLUMN sealed_ids bytea;
