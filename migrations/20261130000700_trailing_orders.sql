-- `trailingDelta` in basis points, and `trailingTime` once the order tracks the price; NULL for every other order.
ALTER TABLE orders ADD COLUMN trailing_delta int, ADD COLUMN tracking_since bigint;
