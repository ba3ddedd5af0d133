-- What a webhook can be told beyond the wire's fields, as JSON; what is at its default is left out.
ALTER TABLE endpoint ADD COLUMN options TEXT NOT NULL DEFAULT '{}';
-- Authentication, certificates and signatures; NULL where all are at their defaults.
ALTER TABLE endpoint ADD COLUMN sealed_credentials BLOB;
-- What an ordered endpoint is to get next (PROTOCOL rule 16): its order is that of ids, which one writer gives.
CREATE INDEX delivery_ordered ON delivery (endpoint, message) WHERE state = 0 AND run = 0;
-- What goes beside that order: resends and the like.
CREATE INDEX delivery_again ON delivery (endpoint, due_at, message) WHERE state = 0 AND run > 0;
-- What an environment can be told, as JSON; what is at its default is left out.
ALTER TABLE environment ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
-- What an event type says about retries, as JSON; NULL where it says nothing.
ALTER TABLE event_type ADD COLUMN retries TEXT;
-- The key of the wire ids: made from the encryption key that the store had first, and kept when that is replaced.
ALTER TABLE seal_check ADD COLUMN sealed_ids BLOB;
