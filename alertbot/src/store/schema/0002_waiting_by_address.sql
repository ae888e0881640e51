-- Calls for one telephone gather: the first one that waits is looked for at every further one.
CREATE INDEX outbox_address ON outbox (address, not_before) WHERE state = 0;
