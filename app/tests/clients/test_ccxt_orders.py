"""ccxt places, edits, cancels and fetches orders of every type."""

import asyncio

import ccxt
import ccxt.async_support
import pytest

from conftest import LAST_PRICE, SYMBOL, credentials, redirect


def ids(orders):
    return [order["id"] for order in orders]


def test_a_limit_order_rests_until_it_is_cancelled(trader):
    placed = trader.create_order(SYMBOL, "limit", "buy", 0.01, 40_000)
    assert (placed["status"], placed["type"], placed["side"], placed["timeInForce"]) == ("open", "limit", "buy", "GTC")
    assert (placed["price"], placed["amount"], placed["filled"], placed["remaining"]) == (40_000, 0.01, 0, 0.01)
    assert abs(placed["timestamp"] - trader.fetch_time()) < 60_000

    fetched = trader.fetch_order(placed["id"], SYMBOL)
    for member in ("id", "clientOrderId", "symbol", "type", "side", "price", "amount", "filled", "status", "timestamp"):
        assert fetched[member] == placed[member], member
    assert ids(trader.fetch_open_orders(SYMBOL)) == [placed["id"]]

    assert trader.cancel_order(placed["id"], SYMBOL)["status"] == "canceled"
    assert trader.fetch_open_orders(SYMBOL) == []
    assert trader.fetch_order(placed["id"], SYMBOL)["status"] == "canceled"
    assert placed["id"] in ids(trader.fetch_canceled_orders(SYMBOL))


def test_a_limit_order_is_filled_in_parts(trader, other):
    placed = trader.create_order(SYMBOL, "limit", "sell", 0.03, 50_100)
    other.create_order(SYMBOL, "limit", "buy", 0.01, 50_100)
    partly = trader.fetch_order(placed["id"], SYMBOL)
    assert (partly["status"], partly["filled"], partly["remaining"], partly["cost"]) == ("open", 0.01, 0.02, 501)
    other.create_order(SYMBOL, "limit", "buy", 0.02, 50_100)
    filled = trader.fetch_order(placed["id"], SYMBOL)
    assert (filled["status"], filled["filled"], filled["average"], filled["cost"]) == ("closed", 0.03, 50_100, 1_503)
    assert placed["id"] in ids(trader.fetch_closed_orders(SYMBOL))


def test_immediate_or_cancel_takes_what_is_there(trader, other):
    other.create_order(SYMBOL, "limit", "buy", 0.01, 49_000)
    placed = trader.create_order(SYMBOL, "limit", "sell", 0.03, 49_000, {"timeInForce": "IOC"})
    assert (placed["status"], placed["timeInForce"], placed["filled"]) == ("expired", "IOC", 0.01)
    assert trader.fetch_open_orders(SYMBOL) == []


def test_fill_or_kill_takes_all_or_nothing(trader, other):
    other.create_order(SYMBOL, "limit", "buy", 0.01, 49_000)
    killed = trader.create_order(SYMBOL, "limit", "sell", 0.03, 49_000, {"timeInForce": "FOK"})
    assert (killed["status"], killed["timeInForce"], killed["filled"]) == ("expired", "FOK", 0)
    filled = trader.create_order(SYMBOL, "limit", "sell", 0.01, 49_000, {"timeInForce": "FOK"})
    assert (filled["status"], filled["filled"]) == ("closed", 0.01)


def test_an_order_of_ones_own_is_decremented(trader):
    maker = trader.create_order(SYMBOL, "limit", "buy", 0.03, 40_000)
    taker = trader.create_order(SYMBOL, "limit", "sell", 0.01, 40_000, {"selfTradePreventionMode": "DECREMENT"})
    assert (taker["info"]["status"], taker["filled"]) == ("EXPIRED_IN_MATCH", 0)
    (match,) = trader.private_get_mypreventedmatches({"symbol": "BTCUSDT", "orderId": taker["id"]})
    assert (str(match["makerOrderId"]), match["makerPreventedQuantity"]) == (maker["id"], "0.01000000")
    assert trader.fetch_order(maker["id"], SYMBOL)["info"]["preventedQuantity"] == "0.01000000"


def test_a_market_order_by_quantity(trader, other):
    other.create_order(SYMBOL, "limit", "sell", 0.01, 50_000)
    other.create_order(SYMBOL, "limit", "sell", 0.01, 50_200)
    placed = trader.create_order(SYMBOL, "market", "buy", 0.02)
    assert (placed["status"], placed["type"], placed["filled"], placed["cost"]) == ("closed", "market", 0.02, 1_002)
    assert placed["average"] == 50_100
    assert [trade["price"] for trade in placed["trades"]] == [50_000, 50_200]
    assert placed["fee"] == {"currency": "BTC", "cost": 0.00002}


def test_a_market_order_by_cost(trader, other):
    other.create_order(SYMBOL, "limit", "sell", 0.1, 50_000)
    bought = trader.create_market_buy_order_with_cost(SYMBOL, 1_000)
    assert (bought["status"], bought["filled"], bought["cost"]) == ("closed", 0.02, 1_000)
    assert bought["info"]["origQuoteOrderQty"] == "1000.00000000"
    other.create_order(SYMBOL, "limit", "buy", 0.1, 49_000)
    sold = trader.create_market_sell_order_with_cost(SYMBOL, 980)
    assert (sold["status"], sold["filled"], sold["cost"]) == ("closed", 0.02, 980)


def test_a_market_order_expires_when_nobody_sells(trader):
    placed = trader.create_order(SYMBOL, "market", "buy", 0.01)
    assert (placed["status"], placed["filled"]) == ("expired", 0)


def test_post_only_rests_or_is_refused(trader, other):
    placed = trader.create_order(SYMBOL, "limit", "sell", 0.01, 50_100, {"postOnly": True})
    assert (placed["status"], placed["postOnly"], placed["info"]["type"]) == ("open", True, "LIMIT_MAKER")
    other.create_order(SYMBOL, "limit", "buy", 0.01, 49_900)
    with pytest.raises(ccxt.OrderImmediatelyFillable):
        trader.create_order(SYMBOL, "limit", "sell", 0.01, 49_900, {"postOnly": True})


CONDITIONAL = [
    # kind, side, trigger, the price that pulls it, what it is called
    ("stopLossPrice", "sell", 45_000, 45_000, "STOP_LOSS"),
    ("stopLossPrice", "buy", 55_000, 55_000, "STOP_LOSS"),
    ("takeProfitPrice", "sell", 55_000, 55_000, "TAKE_PROFIT"),
    ("takeProfitPrice", "buy", 45_000, 45_000, "TAKE_PROFIT"),
]


@pytest.mark.parametrize("type_", ["market", "limit"])
@pytest.mark.parametrize(("kind", "side", "trigger", "pull", "name"), CONDITIONAL)
def test_a_conditional_order_waits_for_its_price(trader, other, type_, kind, side, trigger, pull, name):
    price = trigger if type_ == "limit" else None
    placed = trader.create_order(SYMBOL, type_, side, 0.01, price, {kind: trigger})
    assert placed["info"]["type"] == name + ("_LIMIT" if type_ == "limit" else "")
    assert (placed["status"], placed["triggerPrice"], placed["filled"]) == ("open", trigger, 0)
    waiting = trader.fetch_order(placed["id"], SYMBOL)
    assert waiting["info"]["isWorking"] is False
    assert trader.fetch_order_book(SYMBOL)["bids"] == trader.fetch_order_book(SYMBOL)["asks"] == []

    # Two others trade at the price; what is left of the larger order is there for the order that this wakes.
    opposite = "buy" if side == "sell" else "sell"
    other.create_order(SYMBOL, "limit", opposite, 0.02, pull)
    trader.create_order(SYMBOL, "market", side, 0.01)
    woken = trader.fetch_order(placed["id"], SYMBOL)
    assert (woken["status"], woken["filled"], woken["average"]) == ("closed", 0.01, pull)
    assert woken["info"]["isWorking"] is True


def test_a_stop_that_would_trigger_at_once_is_refused(trader):
    with pytest.raises(ccxt.OrderImmediatelyFillable):
        trader.create_order(SYMBOL, "market", "sell", 0.01, None, {"stopLossPrice": LAST_PRICE + 5_000})


def test_editing_replaces_the_order(trader):
    placed = trader.create_order(SYMBOL, "limit", "sell", 0.01, 60_000)
    edited = trader.edit_order(placed["id"], SYMBOL, "limit", "sell", 0.02, 61_000)
    assert edited["id"] != placed["id"]
    assert (edited["status"], edited["price"], edited["amount"]) == ("open", 61_000, 0.02)
    assert trader.fetch_order(placed["id"], SYMBOL)["status"] == "canceled"
    assert ids(trader.fetch_open_orders(SYMBOL)) == [edited["id"]]


def test_editing_what_waits_for_its_price(trader):
    placed = trader.create_order(SYMBOL, "limit", "sell", 0.01, 44_000, {"triggerPrice": 45_000})
    # By this name only: ccxt passes its own names on as they are, and what is not read is refused.
    edited = trader.edit_order(placed["id"], SYMBOL, "limit", "sell", 0.02, 43_000, {"stopPrice": 44_500})
    assert (edited["info"]["type"], edited["triggerPrice"], edited["price"]) == ("STOP_LOSS_LIMIT", 44_500, 43_000)
    assert ids(trader.fetch_open_orders(SYMBOL)) == [edited["id"]]


def test_an_edited_order_may_keep_its_name(trader):
    own = {"clientOrderId": "kept-through-an-edit"}
    placed = trader.create_order(SYMBOL, "limit", "buy", 0.01, 40_000, own)
    edited = trader.edit_order(placed["id"], SYMBOL, "limit", "buy", 0.01, 41_000, own)
    assert edited["clientOrderId"] == "kept-through-an-edit"
    assert trader.fetch_order(None, SYMBOL, own)["id"] == edited["id"]


def test_editing_what_is_gone_places_nothing(trader):
    placed = trader.create_order(SYMBOL, "limit", "sell", 0.01, 60_000)
    trader.cancel_order(placed["id"], SYMBOL)
    with pytest.raises(ccxt.ExchangeError, match=r'"code":-2022,.*"newOrderResult":"NOT_ATTEMPTED"'):
        trader.edit_order(placed["id"], SYMBOL, "limit", "sell", 0.01, 61_000)
    assert trader.fetch_open_orders(SYMBOL) == []


def test_orders_go_by_the_clients_own_ids(trader):
    own = {"clientOrderId": "a-name-of-my-own"}
    placed = trader.create_order(SYMBOL, "limit", "buy", 0.01, 40_000, own)
    assert placed["clientOrderId"] == "a-name-of-my-own"
    assert trader.fetch_order(None, SYMBOL, own)["id"] == placed["id"]
    with pytest.raises(ccxt.InvalidOrder, match="Duplicate order sent"):
        trader.create_order(SYMBOL, "limit", "buy", 0.01, 40_000, own)
    assert trader.cancel_order(None, SYMBOL, own)["id"] == placed["id"]
    with pytest.raises(ccxt.OrderNotFound):
        trader.cancel_order(None, SYMBOL, own)


def test_all_orders_are_cancelled_together(trader, other):
    mine = [trader.create_order(SYMBOL, "limit", "sell", 0.01, price)["id"] for price in (60_000, 61_000)]
    theirs = other.create_order(SYMBOL, "limit", "sell", 0.01, 62_000)["id"]
    canceled = trader.cancel_all_orders(SYMBOL)
    assert sorted(ids(canceled)) == sorted(mine)
    assert {order["status"] for order in canceled} == {"canceled"}
    assert ids(other.fetch_open_orders(SYMBOL)) == [theirs]


def test_history_goes_on_where_the_last_page_ended(trader):
    placed = [trader.create_order(SYMBOL, "limit", "buy", 0.01, 40_000 + step)["id"] for step in range(3)]
    assert ids(trader.fetch_orders(SYMBOL, params={"orderId": placed[1]})) == placed[1:]
    assert ids(trader.fetch_orders(SYMBOL, limit=2)) == placed[1:]


def test_history_of_a_time(trader):
    first = trader.create_order(SYMBOL, "limit", "buy", 0.01, 40_000)
    last = trader.create_order(SYMBOL, "limit", "buy", 0.01, 40_001)
    assert ids(trader.fetch_orders(SYMBOL, first["timestamp"]))[:2] == [first["id"], last["id"]]
    assert trader.fetch_orders(SYMBOL, last["timestamp"] + 1) == []
    until = trader.fetch_orders(SYMBOL, first["timestamp"] - 1, params={"until": last["timestamp"]})
    assert ids(until)[-2:] == [first["id"], last["id"]]


def test_many_at_once(accounts, rest, trader):
    """ccxt's other client, on its own HTTP library, with connections in parallel."""
    count = 20

    async def place():
        client = redirect(ccxt.async_support.binance(credentials(accounts[0])), rest)
        try:
            placed = await asyncio.gather(
                *(client.create_order(SYMBOL, "limit", "buy", 0.001, 40_000 + step) for step in range(count))
            )
            return placed, await client.fetch_open_orders(SYMBOL)
        finally:
            await client.close()

    placed, opened = asyncio.run(place())
    assert len(set(ids(placed))) == count
    assert sorted(ids(opened)) == sorted(ids(placed))


def test_a_test_order_has_no_effect(trader):
    before = trader.fetch_balance()
    trader.create_order(SYMBOL, "limit", "sell", 0.01, 60_000, {"test": True})
    assert trader.fetch_open_orders(SYMBOL) == []
    assert trader.fetch_balance()["free"] == before["free"]
