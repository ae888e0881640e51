-- Indexes whose entries hardly ever repeat. Before it splits a page, PostgreSQL looks for repeated entries to merge: here it finds none,
-- and looking costs the projector about a twentieth of all its writing. `ledger_transfers_sequence` keeps it: the transfers of one event share a
-- sequence.
ALTER INDEX orders_client_id SET (deduplicate_items = off);
ALTER INDEX trades_aggregate SET (deduplicate_items = off);
ALTER INDEX trades_buyer SET (deduplicate_items = off);
ALTER INDEX trades_seller SET (deduplicate_items = off);
ALTER INDEX trades_buyer_order SET (deduplicate_items = off);
ALTER INDEX trades_seller_order SET (deduplicate_items = off);
