-- One value sealed with the encryption key, so that another key is noticed while nothing else is sealed.
CREATE TABLE seal_check (
    key          INTEGER PRIMARY KEY CHECK (key = 1),
    sealed_value BLOB NOT NULL
) STRICT;
