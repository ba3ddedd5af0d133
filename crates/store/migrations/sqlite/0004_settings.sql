-- What an environment can be told, as JSON; what is at its default is left out.
ALTER TABLE environment ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
-- What an event type says about retries, as JSON; NULL where it says nothing.
ALTER TABLE event_type ADD COLUMN retries TEXT;
-- The key of the wire ids: made from the encryption key that the store had first, and kept when that is replaced.
ALTER TABLE seal_check ADD COLUMN sealed_ids BLOB;
