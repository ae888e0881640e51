-- How the orders of a list depend on each other: 0 OCO, 1 OTO. Every list of before is an OCO pair, and so is every list that the
-- previous release writes. `orders.status` has a new value, 6 PENDING_NEW; `orders.expiry_reason` has 7 OTO_PHASE_ONE_EXPIRED and
-- 8 REJECTED.
ALTER TABLE order_lists ADD COLUMN contingency smallint NOT NULL DEFAULT 0;
