-- Amendments of orders, derived from the journal like the tables of the projection: one row for each, never changed. The projector
-- writes them in the transaction of their chunk. An amendment changes `orders.client_id` too.
--
-- order/amendments:  WHERE order_id = $1 AND execution >= $2 ORDER BY execution LIMIT $3
CREATE TABLE order_amendments (
    order_id           bigint   NOT NULL,
    execution          bigint   NOT NULL,   -- sequence of the event
    original_quantity  bigint   NOT NULL,
    quantity           bigint   NOT NULL,
    time               bigint   NOT NULL,
    account            integer  NOT NULL,
    market             smallint NOT NULL,
    original_client_id text     NOT NULL,
    client_id          text     NOT NULL,
    PRIMARY KEY (order_id, execution)
);
