-- Assertions for every restored database of the exchange. Each query returns invalid rows.
-- Units are integers of 10^-8 of an asset. Account 0 is custody, which represents the outside world.

-- name: every asset sums to zero
-- needs: public.balances
SELECT asset, sum(free + locked) AS sum FROM public.balances GROUP BY asset HAVING sum(free + locked) <> 0;

-- name: no account except custody is negative
-- needs: public.balances
SELECT account, asset, free, locked FROM public.balances WHERE account <> 0 AND (free < 0 OR locked < 0);

-- name: every balance is the sum of its transfers
-- needs: public.balances, public.ledger_transfers
WITH moved AS (
    SELECT debit_account AS account, asset, debit_bucket AS bucket, -amount AS amount FROM public.ledger_transfers
    UNION ALL
    SELECT credit_account, asset, credit_bucket, amount FROM public.ledger_transfers
), folded AS (
    SELECT account, asset, coalesce(sum(amount) FILTER (WHERE bucket = 0), 0) AS free,
           coalesce(sum(amount) FILTER (WHERE bucket = 1), 0) AS locked
    FROM moved GROUP BY account, asset
)
SELECT account, asset, folded.free AS folded_free, balances.free, folded.locked AS folded_locked, balances.locked
FROM folded FULL JOIN public.balances USING (account, asset)
WHERE coalesce(folded.free, 0) <> coalesce(balances.free, 0) OR coalesce(folded.locked, 0) <> coalesce(balances.locked, 0);

-- name: every transfer has a positive amount
-- needs: public.ledger_transfers
SELECT sequence, line, amount FROM public.ledger_transfers WHERE amount <= 0;

-- name: no order is filled beyond its quantity
-- needs: public.orders
SELECT account, market, id, quantity, executed FROM public.orders WHERE executed < 0 OR quantity > 0 AND executed > quantity;

-- name: no ended order has a hold
-- needs: public.orders
SELECT account, market, id, status, hold FROM public.orders WHERE hold < 0 OR status > 1 AND hold <> 0;

-- name: the journal has no gap
-- needs: public.journal
SELECT first_seq, previous FROM (
    SELECT first_seq, lag(last_seq) OVER (ORDER BY first_seq) AS previous FROM public.journal
) AS batches WHERE previous IS NOT NULL AND first_seq <> previous + 1;

-- name: the head is at the journal's end
-- needs: public.head, public.journal
SELECT head.last_seq, newest.last_seq AS journal
FROM public.head, (SELECT max(last_seq) AS last_seq FROM public.journal) AS newest WHERE newest.last_seq <> head.last_seq;

-- name: the tables are not ahead of the journal
-- needs: public.projection, public.head
SELECT projected_seq, last_seq FROM public.projection, public.head WHERE projected_seq > last_seq;
