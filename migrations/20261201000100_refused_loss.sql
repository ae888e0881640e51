-- What a server that refuses this database asks an operator to declare lost. Expand only: the previous release neither reads nor
-- writes it, and its reports leave both columns NULL.

-- Last lost sequence, and the newest lost generation of the history (0: none is newer than this database's). NULL: not refused.
ALTER TABLE replicas ADD COLUMN lost_through bigint, ADD COLUMN lost_generation bigint;
