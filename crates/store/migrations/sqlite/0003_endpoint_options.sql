-- What a webhook can be told beyond the wire's fields, as JSON; what is at its default is left out.
ALTER TABLE endpoint ADD COLUMN options TEXT NOT NULL DEFAULT '{}';
-- Authentication, certificates and signatures; NULL where all are at their defaults.
ALTER TABLE endpoint ADD COLUMN sealed_credentials BLOB;
