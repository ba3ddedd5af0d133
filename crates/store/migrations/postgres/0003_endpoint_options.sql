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
CREATE INDEX delivery_ordered ON delivery (endpoint, position NULLS FIRST, message) WHERE state = 0 AND run = 0;
-- What goes beside that order: resends and the like.
CREATE INDEX delivery_again ON delivery (endpoint, due_at, message) WHERE state = 0 AND run > 0 AND lease IS NULL;
-- The counters of places: one row for each ordered endpoint, locked until the accept that takes places is committed.
CREATE TABLE ordered (
    endpoint bigint PRIMARY KEY,
    next     bigint NOT NULL
) WITH (fillfactor = 20, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0);
