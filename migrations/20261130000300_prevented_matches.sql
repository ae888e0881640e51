-- Trades that self-trade prevention prevented, derived from the journal like the tables of the projection: one row for each, never
-- changed. Rows of earlier events exist after `exchange worker rebuild`.
--
-- myPreventedMatches:  WHERE market = $1 AND id = $2
--                      WHERE taker_order = $1 / WHERE maker_order = $1, united, ORDER BY id LIMIT $2
CREATE TABLE prevented_matches (
    id             bigint   NOT NULL,       -- within the market
    taker_order    bigint   NOT NULL,
    maker_order    bigint   NOT NULL,
    price          bigint   NOT NULL,
    taker_quantity bigint   NOT NULL,       -- 0: nothing of it expired
    maker_quantity bigint   NOT NULL,
    time           bigint   NOT NULL,
    sequence       bigint   NOT NULL,       -- of the event
    account        integer  NOT NULL,
    market         smallint NOT NULL,
    stp            smallint NOT NULL,       -- of the taker
    PRIMARY KEY (market, id)
);
CREATE INDEX prevented_matches_taker ON prevented_matches (taker_order, id);
CREATE INDEX prevented_matches_maker ON prevented_matches (maker_order, id);
