"""What ccxt reads of an account, and what it may not do with it."""

import ccxt
import pytest

from conftest import SYMBOL, eventually


def test_an_order_holds_and_a_trade_settles(trader, other):
    before = trader.fetch_balance()
    placed = trader.create_order(SYMBOL, "limit", "sell", 0.1, 50_000)
    held = trader.fetch_balance()
    assert held["BTC"]["used"] == pytest.approx(0.1)
    assert held["BTC"]["free"] == pytest.approx(before["BTC"]["free"] - 0.1)
    other.create_order(SYMBOL, "market", "buy", 0.1)
    after = trader.fetch_balance()
    assert trader.fetch_order(placed["id"], SYMBOL)["status"] == "closed"
    assert after["BTC"]["used"] == 0
    # Ten basis points of what it got are the fee.
    assert after["USDT"]["free"] - before["USDT"]["free"] == pytest.approx(5_000 - 5, abs=0.001)


def test_my_trades(trader, other):
    mine = trader.create_order(SYMBOL, "limit", "sell", 0.02, 50_000)
    taker = other.create_order(SYMBOL, "market", "buy", 0.02)
    (sold,) = trader.fetch_order_trades(mine["id"], SYMBOL)
    assert (sold["side"], sold["takerOrMaker"], sold["price"], sold["amount"]) == ("sell", "maker", 50_000, 0.02)
    assert sold["fee"] == {"currency": "USDT", "cost": 1}
    assert trader.fetch_my_trades(SYMBOL)[-1]["id"] == sold["id"]
    (bought,) = other.fetch_order_trades(taker["id"], SYMBOL)
    assert (bought["id"], bought["side"], bought["takerOrMaker"]) == (sold["id"], "buy", "taker")
    assert bought["fee"] == {"currency": "BTC", "cost": 0.00002}
    assert trader.fetch_my_trades(SYMBOL, params={"fromId": sold["id"]})[0]["id"] == sold["id"]


def test_my_trades_of_a_time(trader, other):
    mine = trader.create_order(SYMBOL, "limit", "sell", 0.02, 50_000)
    other.create_order(SYMBOL, "market", "buy", 0.01)
    other.create_order(SYMBOL, "market", "buy", 0.01)
    first, last = trader.fetch_order_trades(mine["id"], SYMBOL)
    since = trader.fetch_my_trades(SYMBOL, first["timestamp"])
    assert [trade["id"] for trade in since][-2:] == [first["id"], last["id"]]
    assert trader.fetch_my_trades(SYMBOL, last["timestamp"] + 1) == []
    paged = trader.fetch_my_trades(SYMBOL, first["timestamp"] - 60_000, params={"paginate": True})
    assert [trade["id"] for trade in paged][-2:] == [first["id"], last["id"]]


def test_fees(trader):
    fee = trader.fetch_trading_fee(SYMBOL)
    assert (fee["maker"], fee["taker"]) == (0.001, 0.001)
    assert set(trader.fetch_trading_fees()) == set(trader.markets)
    rates = trader.private_get_account_commission({"symbol": "BTCUSDT"})["standardCommission"]
    assert (rates["maker"], rates["taker"]) == ("0.00100000", "0.00100000")


def test_currencies_and_the_wallet(trader):
    assert {"BTC", "ETH", "BNB", "USDT"} <= set(trader.fetch_currencies())
    assert trader.fetch_deposits() == []
    assert trader.fetch_withdrawals() == []
    with pytest.raises(ccxt.ExchangeError, match="-4019"):
        trader.fetch_deposit_address("BTC")


def test_withdrawals_are_refused(trader, admin, connect):
    before = trader.fetch_balance()["BTC"]["free"]
    key = admin("api-key", "create", "demo", "--permissions", "read,trade,withdraw")
    with pytest.raises(ccxt.OperationRejected, match="The current currency is not open for withdrawal"):
        connect(key["apiKey"], key["secretKey"]).withdraw("BTC", 1, "bc1qxy2kgdygjrsqtzq2n0yrf2493p83kkfjhx0wlh")
    assert trader.fetch_balance()["BTC"]["free"] == before


def test_used_weight_and_order_counts_are_told(trader):
    trader.fetch_balance()
    used = int(trader.last_response_headers["x-mbx-used-weight-1m"])
    trader.fetch_balance()
    # A new minute may have begun between the two.
    assert int(trader.last_response_headers["x-mbx-used-weight-1m"]) in (used + 20, 20)
    placed = trader.create_order(SYMBOL, "limit", "buy", 0.01, 40_000)
    assert placed["status"] == "open"
    assert int(trader.last_response_headers["x-mbx-order-count-10s"]) >= 1
    assert int(trader.last_response_headers["x-mbx-order-count-1d"]) >= 1
    counts = trader.private_get_ratelimit_order()
    assert [(count["interval"], int(count["intervalNum"])) for count in counts] == [("SECOND", 10), ("DAY", 1)]


def test_a_revoked_key_ends(admin, connect):
    key = admin("api-key", "create", "demo")
    client = connect(key["apiKey"], key["secretKey"])
    assert client.fetch_balance()["BTC"]["total"] > 0
    assert admin("api-key", "revoke", key["apiKey"])["revoked"] is True

    def refused():
        try:
            client.fetch_balance()
        except (ccxt.AuthenticationError, ccxt.DDoSProtection) as error:
            # ccxt takes -2015 of a key that has worked for a temporary ban.
            return "-2015" in str(error)
        return False

    eventually("the key is refused", refused)
