"""Each refusal reaches a ccxt user as the exception that ccxt knows for it, and has no effect."""

import ccxt
import pytest

from conftest import SYMBOL


def order(**changes):
    """An order as it is sent: ccxt would round what it builds itself."""
    return {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": "40000"} | changes


REFUSED = [
    ("quantity with too many steps", {"quantity": "0.000015"}, ccxt.InvalidOrder, "LOT_SIZE"),
    ("quantity above the largest", {"quantity": "100000"}, ccxt.InvalidOrder, "LOT_SIZE"),
    ("price between ticks", {"price": "40000.001"}, ccxt.InvalidOrder, "PRICE_FILTER"),
    ("price far from the market", {"price": "400000"}, ccxt.InvalidOrder, "PERCENT_PRICE_BY_SIDE"),
    ("too little value", {"quantity": "0.0001", "price": "40000"}, ccxt.ExchangeError, "NOTIONAL"),
    ("no price", {"price": ""}, ccxt.BadRequest, "-110[2-6]"),
    ("no such type", {"type": "WISH"}, ccxt.BadRequest, "-1116"),
    ("no such side", {"side": "BOTH"}, ccxt.BadRequest, "-1117"),
    ("no such time in force", {"timeInForce": "NOW"}, ccxt.BadRequest, "-1115"),
    ("no such market", {"symbol": "NOSUCH"}, ccxt.BadSymbol, "-1121"),
    ("too many decimals", {"quantity": "0.0000000001"}, ccxt.BadRequest, "-1111"),
]


@pytest.mark.parametrize(("what", "changes", "error", "text"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_bad_order_is_refused(trader, what, changes, error, text):
    before = trader.fetch_balance()["free"]
    with pytest.raises(error, match=text):
        trader.private_post_order(order(**changes))
    assert trader.fetch_open_orders(SYMBOL) == []
    assert trader.fetch_balance()["free"] == before


def test_too_little_money(admin, connect):
    admin("account", "create", "poor")
    key = admin("api-key", "create", "poor")
    poor = connect(key["apiKey"], key["secretKey"])
    with pytest.raises(ccxt.InsufficientFunds, match="Account has insufficient balance for requested action."):
        poor.create_order(SYMBOL, "limit", "buy", 0.01, 40_000)
    with pytest.raises(ccxt.InsufficientFunds):
        poor.create_order(SYMBOL, "limit", "sell", 0.01, 60_000)
    assert poor.fetch_open_orders(SYMBOL) == []


def test_orders_that_are_not_there(trader):
    with pytest.raises(ccxt.OrderNotFound, match="-2013"):
        trader.fetch_order("999999999", SYMBOL)
    with pytest.raises(ccxt.OrderNotFound, match="-2011"):
        trader.cancel_order("999999999", SYMBOL)


def test_orders_of_others_are_not_there(trader, other):
    theirs = other.create_order(SYMBOL, "limit", "sell", 0.01, 60_000)["id"]
    with pytest.raises(ccxt.OrderNotFound):
        trader.fetch_order(theirs, SYMBOL)
    with pytest.raises(ccxt.OrderNotFound):
        trader.cancel_order(theirs, SYMBOL)
    assert other.fetch_order(theirs, SYMBOL)["status"] == "open"


def test_signatures_and_keys(accounts, connect):
    account = accounts[0]
    with pytest.raises(ccxt.AuthenticationError, match="-1022"):
        connect(account["api_key"], "x" * 64).fetch_balance()
    with pytest.raises(ccxt.AuthenticationError, match="-2015"):
        connect("x" * 64, account["secret_key"]).fetch_balance()
    with pytest.raises(ccxt.AuthenticationError, match="-2014"):
        connect("no key has spaces", account["secret_key"]).fetch_balance()


def test_time(accounts, connect):
    account = accounts[0]
    late = connect(account["api_key"], account["secret_key"])
    late.options["timeDifference"] = 70_000
    with pytest.raises(ccxt.InvalidNonce, match="-1021"):
        late.fetch_balance()
    wide = connect(account["api_key"], account["secret_key"])
    with pytest.raises(ccxt.ExchangeError, match="-1131"):
        wide.fetch_balance({"recvWindow": 60_001})


def test_a_key_may_do_what_it_was_given(admin, connect, market):
    key = admin("api-key", "create", "demo", "--permissions", "read")
    reader = connect(key["apiKey"], key["secretKey"])
    with pytest.raises(ccxt.AuthenticationError, match="-2015"):
        reader.create_order(SYMBOL, "limit", "buy", 0.01, 40_000)
    assert reader.fetch_open_orders(SYMBOL) == []
    key = admin("api-key", "create", "demo", "--network", "192.0.2.0/24")
    with pytest.raises(ccxt.AuthenticationError, match="-2015"):
        connect(key["apiKey"], key["secretKey"]).fetch_balance()


def test_a_halted_market(trader, admin):
    resting = trader.create_order(SYMBOL, "limit", "buy", 0.01, 40_000)["id"]
    admin("market", "cancel-only", "BTCUSDT")
    try:
        with pytest.raises(ccxt.ExchangeError):
            trader.create_order(SYMBOL, "limit", "buy", 0.01, 40_000)
        assert trader.cancel_order(resting, SYMBOL)["status"] == "canceled"
    finally:
        admin("market", "resume", "BTCUSDT")
    assert trader.create_order(SYMBOL, "limit", "buy", 0.01, 40_000)["status"] == "open"
