-- What tells a durable batch from one that only this server holds, and one history of the exchange from another.
-- Expand only: the previous release neither reads nor writes any of it.

-- Last sequence for which the leader of `confirmed_epoch` got a clean answer: under synchronous replication a standby has it.
-- While another epoch leads (a leader of the previous release, or one whose claim is not confirmed yet), a batch of that
-- epoch in the journal confirms its predecessor and nothing more.
ALTER TABLE head ADD COLUMN confirmed_seq bigint NOT NULL DEFAULT 0, ADD COLUMN confirmed_epoch bigint NOT NULL DEFAULT 0;

-- Marks of this journal's history: the SHA-256 chain over its batches as of `sequence`, the end of a batch. Derived by the
-- worker, one for every snapshot and archive object. An object of the bucket belongs to this journal when the chain in its
-- name follows from a mark and the batches after it.
CREATE TABLE history_marks (
    sequence  bigint      PRIMARY KEY CHECK (sequence > 0),
    chain     bytea       NOT NULL CHECK (octet_length(chain) = 32),
    marked_at timestamptz NOT NULL DEFAULT now()
);

-- What an operator declared while no server could lead. The next leader journals it and then fills journalled_seq.
CREATE TABLE declarations (
    id            bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    kind          text        NOT NULL CHECK (kind IN ('loss', 'time')),
    actor         text        NOT NULL,
    reason        text        NOT NULL,
    -- Of the journal at that moment: its last sequence.
    ends_at       bigint      NOT NULL,
    -- Of a loss: sequences above ends_at up to here, known elsewhere, are lost. Of a time: 0.
    through       bigint      NOT NULL DEFAULT 0,
    declared_at   timestamptz NOT NULL DEFAULT now(),
    journalled_seq bigint
);

-- Servers as they report themselves every second.
CREATE TABLE replicas (
    address         text        PRIMARY KEY,
    reported_at     timestamptz NOT NULL,
    -- Its clock less the database's, microseconds.
    clock_offset    bigint      NOT NULL,
    -- Why it does not follow this database; NULL: it does.
    refusal         text,
    -- Its last state that was compared: sequence, SHA-256 of the state, chain of the journal. NULL: none yet.
    compared_seq    bigint,
    compared_state  bytea,
    compared_chain  bytea
) WITH (fillfactor = 50);
