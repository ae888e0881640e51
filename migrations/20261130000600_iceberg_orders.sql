-- `icebergQty` of an order; NULL for every other order, and for every order that the previous release writes.
ALTER TABLE orders ADD COLUMN iceberg_quantity bigint;
