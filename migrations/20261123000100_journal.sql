-- The journal: what happened, one row per committed batch, and the one row that says who may append to it.

-- Every append updates this row and inserts into the journal in one statement, so a writer whose epoch has passed appends nothing.
CREATE TABLE head (
    only_row      boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    -- Rises by one with every change of leader.
    epoch         bigint      NOT NULL,
    -- Sequence of the last event in the journal; 0: none.
    last_seq      bigint      NOT NULL,
    -- The leader was alive then, by the database's clock.
    beat          timestamptz NOT NULL,
    -- The leader has stepped down: whoever comes first may lead.
    released      boolean     NOT NULL,
    -- host:port of the leader's internal listener.
    address       text        NOT NULL,
    -- The leader's journal connection. The start tells a pid from its next holder.
    backend_pid   integer     NOT NULL,
    backend_start timestamptz NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

INSERT INTO head (epoch, last_seq, beat, released, address, backend_pid, backend_start)
VALUES (0, 0, '-infinity', true, '', 0, '-infinity');

-- Partitions are attached ahead by the programs, named journal_<first sequence>.
CREATE TABLE journal (
    first_seq  bigint      NOT NULL,
    last_seq   bigint      NOT NULL,
    epoch      bigint      NOT NULL,
    written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- CRC-32 of the payload.
    checksum   bigint      NOT NULL,
    -- Events as exchange-core encodes them. Already dense: compressing it would cost more than it saves.
    payload    bytea       NOT NULL,
    PRIMARY KEY (first_seq)
) PARTITION BY RANGE (first_seq);

ALTER TABLE journal ALTER COLUMN payload SET STORAGE EXTERNAL;
