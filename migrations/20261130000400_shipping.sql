-- The journal in object storage. Expand only: the previous release neither reads nor writes any of it.

-- Counts the losses of history before this database was built; declared losses of this database come on top. Shipped objects carry
-- the sum, so that the bucket shows which history continued.
ALTER TABLE head ADD COLUMN generation bigint NOT NULL DEFAULT 0;
