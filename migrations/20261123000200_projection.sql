-- What the worker's projector makes of the journal: relational tables for history, reports and checks.
--
-- Derived data: every row can be rebuilt from the journal by `exchange worker rebuild`, and nothing is decided from it.
-- One transaction per chunk of the journal writes all rows and moves `projection.projected_seq`, so that a reader who reads that
-- number in the same snapshot knows exactly which events the rows hold.
--
-- Units, everywhere: price, quantity and amount are integers of 10^-8 (price: quote units per base unit); bigint where the core
-- holds 64 bits, numeric (scale 0) where it holds 128. Times are microseconds since the Unix epoch, UTC, of journal time.
-- Order ids, list ids and (within a market) trade and aggregate ids rise with journal time.
-- Codes are those of the journal (the numbers in app/core/src/order.rs), e.g. side 0 BUY, 1 SELL.
-- No foreign keys: the journal is the only writer and is consistent by construction; a key check per row would cost more than the row.

-- Where the projector stands: one row.
CREATE TABLE projection (
    one           boolean PRIMARY KEY DEFAULT true CHECK (one),
    projected_seq bigint NOT NULL DEFAULT 0,   -- events 1..=projected_seq are in the tables
    journal_time  bigint NOT NULL DEFAULT 0,   -- time of the last of them; 0 before the first
    epoch         bigint NOT NULL DEFAULT 0,   -- the projecting process: each claims by adding one, and a chunk is written only under its own
    holder        text   NOT NULL DEFAULT '',  -- which process that is, for people
    claimed_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 10);
INSERT INTO projection DEFAULT VALUES;

CREATE TABLE assets (
    id   smallint PRIMARY KEY,
    code text NOT NULL
);

CREATE TABLE markets (
    id     smallint PRIMARY KEY,
    base   smallint NOT NULL,
    quote  smallint NOT NULL,
    status smallint NOT NULL,          -- 0 TRADING, 1 HALT, 2 CANCEL_ONLY
    symbol text NOT NULL
);

-- 0 is the custody account (the outside world), 1 the exchange's fee account.
CREATE TABLE accounts (
    id        integer PRIMARY KEY,
    created   bigint NOT NULL,
    updated   bigint NOT NULL,
    rights    smallint NOT NULL,       -- bits: 1 trade, 2 withdraw, 4 deposit
    reference text NOT NULL
);

-- Every order, open or not, as it stands at projected_seq. Written once when it appears, then changed in place: no indexed column
-- changes, so that updates stay on their page (HOT); the fill factor leaves room for them.
--
-- allOrders from an id:    WHERE account = $1 AND market = $2 AND id >= $3 ORDER BY id LIMIT $4
-- allOrders, the latest:   WHERE account = $1 AND market = $2 ORDER BY id DESC LIMIT $3
-- allOrders from a time:   WHERE account = $1 AND market = $2 AND id >= order_id_floor($3) AND created >= $3 AND created <= $4 ORDER BY id LIMIT $5
-- order by client id:      WHERE account = $1 AND market = $2 AND client_id = $3 ORDER BY id DESC LIMIT 1
CREATE TABLE orders (
    id                   bigint   NOT NULL,
    price                bigint   NOT NULL,   -- 0: none
    stop_price           bigint   NOT NULL,   -- 0: none
    quantity             bigint   NOT NULL,
    executed             bigint   NOT NULL,
    created              bigint   NOT NULL,
    updated              bigint   NOT NULL,
    working_since        bigint   NOT NULL,   -- 0: not yet
    account              integer  NOT NULL,
    market               smallint NOT NULL,
    side                 smallint NOT NULL,
    kind                 smallint NOT NULL,
    time_in_force        smallint NOT NULL,
    stp                  smallint NOT NULL,
    status               smallint NOT NULL,   -- 0 NEW, 1 PARTIALLY_FILLED, 2 FILLED, 3 CANCELED, 4 EXPIRED, 5 EXPIRED_IN_MATCH
    expiry_reason        smallint NOT NULL,
    working              boolean  NOT NULL,
    executed_quote       numeric  NOT NULL,
    hold                 numeric  NOT NULL,   -- still locked for it: quote asset of a buy, base asset of a sell
    client_id            text     NOT NULL,
    quote_order_quantity numeric,             -- NULL: not given
    list                 bigint,              -- NULL: not part of an order list
    prevented            bigint,              -- NULL: nothing was prevented
    prevented_match      bigint,
    PRIMARY KEY (account, market, id)
) WITH (fillfactor = 70);
CREATE INDEX orders_client_id ON orders (account, client_id, market);

-- The first order id of each minute of journal time: orders carry no index by time, since their ids rise with it.
CREATE TABLE order_minutes (
    minute         bigint PRIMARY KEY,        -- journal time divided by 60,000,000
    first_order    bigint NOT NULL,
    first_sequence bigint NOT NULL            -- of the event that placed it
);

-- An order id at or below every order created at or after `at` (microseconds), and above nearly all created before.
CREATE FUNCTION order_id_floor(at bigint) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce((SELECT first_order FROM order_minutes WHERE minute <= at / 60000000 ORDER BY minute DESC LIMIT 1), 0)
$$;

-- A sequence at or below that of every event at or after `at`. Of the minute before: in `at`'s own, something may precede the first order.
CREATE FUNCTION sequence_floor(at bigint) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce((SELECT first_sequence FROM order_minutes WHERE minute < at / 60000000 ORDER BY minute DESC LIMIT 1), 0)
$$;

CREATE TABLE order_lists (
    id         bigint PRIMARY KEY,
    created    bigint   NOT NULL,
    updated    bigint   NOT NULL,
    account    integer  NOT NULL,
    market     smallint NOT NULL,
    done       boolean  NOT NULL,
    client_id  text     NOT NULL,
    orders     bigint[] NOT NULL              -- ids of its orders, in order of placing
) WITH (fillfactor = 70);
CREATE INDEX order_lists_account ON order_lists (account, id);
CREATE INDEX order_lists_created ON order_lists (account, created);
CREATE INDEX order_lists_client_id ON order_lists (account, client_id);

-- Every execution; never changed.
--
-- trades:                  WHERE market = $1 AND id >= $2 ORDER BY id LIMIT $3
-- aggTrades from an id:    WHERE market = $1 AND aggregate >= $2 ORDER BY aggregate, id, grouped by aggregate (consecutive ids)
-- aggTrades from a time:   WHERE market = $1 AND id >= trade_id_floor($1, $2) AND time >= $2 …
-- myTrades:                both sides, united: WHERE buyer = $1 AND market = $2 AND id >= $3 … / WHERE seller = $1 AND market = $2 AND id >= $3 …
-- myTrades of an order:    WHERE buyer_order = $1 / WHERE seller_order = $1
CREATE TABLE trades (
    id                bigint   NOT NULL,      -- within the market
    aggregate         bigint   NOT NULL,      -- within the market
    price             bigint   NOT NULL,
    quantity          bigint   NOT NULL,
    time              bigint   NOT NULL,
    buyer_order       bigint   NOT NULL,
    seller_order      bigint   NOT NULL,
    buyer             integer  NOT NULL,
    seller            integer  NOT NULL,
    market            smallint NOT NULL,
    buyer_is_maker    boolean  NOT NULL,
    quote             numeric  NOT NULL,      -- price x quantity, in the quote asset
    buyer_commission  numeric  NOT NULL,      -- in the base asset
    seller_commission numeric  NOT NULL,      -- in the quote asset
    PRIMARY KEY (market, id)
);
CREATE INDEX trades_aggregate ON trades (market, aggregate);
CREATE INDEX trades_buyer ON trades (buyer, market, id);
CREATE INDEX trades_seller ON trades (seller, market, id);
CREATE INDEX trades_buyer_order ON trades (buyer_order);
CREATE INDEX trades_seller_order ON trades (seller_order);

-- Candles (klines) of every interval, merged from the trades of each chunk. An interval without a trade has no row.
-- klines:                  WHERE market = $1 AND interval = $2 AND open_time >= $3 ORDER BY open_time LIMIT $4
CREATE TABLE candles (
    open_time        bigint   NOT NULL,
    open             bigint   NOT NULL,
    high             bigint   NOT NULL,
    low              bigint   NOT NULL,
    close            bigint   NOT NULL,
    trades           bigint   NOT NULL,
    first_trade      bigint   NOT NULL,
    last_trade       bigint   NOT NULL,
    market           smallint NOT NULL,
    interval         smallint NOT NULL,       -- 0 1m, 1 3m, 2 5m, 3 15m, 4 30m, 5 1h, 6 2h, 7 4h, 8 6h, 9 8h, 10 12h, 11 1d, 12 3d, 13 1w, 14 1M
    volume           numeric  NOT NULL,       -- base asset
    quote_volume     numeric  NOT NULL,
    taker_volume     numeric  NOT NULL,       -- base asset, of trades whose taker bought
    taker_quote_volume numeric NOT NULL,
    PRIMARY KEY (market, interval, open_time)
) WITH (fillfactor = 70);

-- A trade id of the market at or below every trade at or after `at` (microseconds), and above nearly all before.
CREATE FUNCTION trade_id_floor(of_market smallint, at bigint) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce((SELECT first_trade FROM candles WHERE market = of_market AND interval = 0 AND open_time <= at ORDER BY open_time DESC LIMIT 1), 0)
$$;

-- Statistics of the 24 hours before `time`, refreshed by a job from the one-minute candles (so the window's edge is a whole minute).
CREATE TABLE tickers (
    market       smallint PRIMARY KEY,
    time         bigint  NOT NULL,            -- end of the window: journal time of the refresh
    open         bigint  NOT NULL,
    high         bigint  NOT NULL,
    low          bigint  NOT NULL,
    last         bigint  NOT NULL,
    trades       bigint  NOT NULL,
    first_trade  bigint  NOT NULL,
    last_trade   bigint  NOT NULL,
    volume       numeric NOT NULL,
    quote_volume numeric NOT NULL
) WITH (fillfactor = 50);

-- The ledger: each row moves `amount` from one place to another, so that debits and credits balance by construction. A place is an
-- account and its bucket. Never changed. The order of rows is (sequence, line).
--
-- Ledger of an account:    FROM ledger_spans AS s JOIN ledger_transfers AS t ON t.sequence BETWEEN s.first_sequence AND s.last_sequence
--                          WHERE s.account = $1 AND (t.debit_account = $1 OR t.credit_account = $1)
-- Transfers are the most frequent rows of all and their accounts come in no order: an index on each side cost more than a third of
-- the whole projection. Spans cost next to nothing, and an index in the order of writing little.
CREATE TABLE ledger_transfers (
    sequence       bigint   NOT NULL,         -- of the event that moved it
    time           bigint   NOT NULL,
    debit_account  integer  NOT NULL,         -- gives
    credit_account integer  NOT NULL,         -- receives
    line           smallint NOT NULL,         -- counts the transfers of one event from 0
    asset          smallint NOT NULL,
    debit_bucket   smallint NOT NULL,         -- 0 free, 1 locked
    credit_bucket  smallint NOT NULL,
    amount         numeric  NOT NULL          -- above 0
);
CREATE INDEX ledger_transfers_sequence ON ledger_transfers (sequence);

-- Where in the ledger an account's transfers are: one row per account and chunk of the projector.
CREATE TABLE ledger_spans (
    account        integer NOT NULL,
    first_sequence bigint  NOT NULL,          -- of its first transfer in the chunk
    last_sequence  bigint  NOT NULL,          -- of its last one
    PRIMARY KEY (account, first_sequence)
);

-- What each account owns. Custody (account 0) is negative by what all others own: each asset sums to zero.
CREATE TABLE balances (
    account integer  NOT NULL,
    asset   smallint NOT NULL,
    free    numeric  NOT NULL,
    locked  numeric  NOT NULL,
    PRIMARY KEY (account, asset)
) WITH (fillfactor = 50);

-- Deposits and withdrawals: what came from custody (amount above 0) or went back (below 0), once per reference.
CREATE TABLE credits (
    sequence  bigint PRIMARY KEY,
    time      bigint   NOT NULL,
    account   integer  NOT NULL,
    asset     smallint NOT NULL,
    amount    numeric  NOT NULL,
    reference text     NOT NULL
);
CREATE INDEX credits_account ON credits (account, time);

-- What operators did, and why.
CREATE TABLE operator_actions (
    sequence bigint PRIMARY KEY,
    time     bigint NOT NULL,
    actor    text   NOT NULL,
    reason   text   NOT NULL,
    action   text   NOT NULL
);

-- Account statements asked for: CSV objects in object storage. Not derived: a rebuild leaves them alone.
CREATE TABLE statements (
    id           uuid PRIMARY KEY,
    account      integer     NOT NULL,
    period_start bigint      NOT NULL,        -- inclusive
    period_end   bigint      NOT NULL,        -- exclusive
    status       text        NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'ready', 'failed')),
    object_key   text,                        -- once ready
    size_bytes   bigint,
    requested_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz
);
CREATE INDEX statements_account ON statements (account, requested_at);

-- Journal partitions that were moved to object storage, verified there, and dropped. Not derived.
CREATE TABLE journal_archives (
    first_seq   bigint PRIMARY KEY,           -- of the partition's first batch
    last_seq    bigint      NOT NULL,         -- of its last batch
    batches     bigint      NOT NULL,
    object_key  text        NOT NULL,
    size_bytes  bigint      NOT NULL,
    checksum    bigint      NOT NULL,         -- CRC-32 of the uncompressed content
    archived_at timestamptz NOT NULL DEFAULT now()
);
