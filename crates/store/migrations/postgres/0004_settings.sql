-- What an environment can be told, as JSON; what is at its default is left out.
ALTER TABLE environment ADD COLUMN settings text NOT NULL DEFAULT '{}';
-- What an event type says about retries, as JSON; NULL where it says nothing.
ALTER TABLE event_type ADD COLUMN retries text;
