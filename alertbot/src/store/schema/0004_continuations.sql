-- Parts of a card that is longer than one message: what each says now, and as which message it was sent.
CREATE TABLE continuations (
    incident INTEGER NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    address  TEXT    NOT NULL,
    part     INTEGER NOT NULL,
    text     TEXT    NOT NULL,
    message  INTEGER,
    PRIMARY KEY (incident, address, part)
) STRICT, WITHOUT ROWID;
-- When a topic was last seen to be closed or deleted: a closed one may be opened again.
ALTER TABLE lost_topics ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
