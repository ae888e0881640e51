"""What ccxt reads without a key."""

import ccxt
import pytest

from conftest import LAST_PRICE, SYMBOL


@pytest.fixture(scope="module")
def public(connect):
    """A client without a key."""
    exchange = connect(None, None)
    exchange.load_markets()
    return exchange


def test_markets_and_their_filters(public):
    assert set(public.markets) == {"BTC/USDT", "ETH/USDT", "BNB/USDT"}
    market = public.market(SYMBOL)
    assert (market["spot"], market["active"], market["margin"]) == (True, True, False)
    assert (market["base"], market["quote"]) == ("BTC", "USDT")
    assert (market["precision"]["price"], market["precision"]["amount"]) == (0.01, 0.00001)
    assert (market["limits"]["cost"]["min"], market["limits"]["amount"]["min"]) == (5, 0.00001)


def test_time_and_status(public):
    assert abs(public.fetch_time() - public.milliseconds()) < 60_000
    assert public.fetch_status()["status"] == "ok"
    assert abs(public.load_time_difference()) < 60_000


def test_the_order_book_is_sorted_and_summed(public, trader, other):
    for price, amount in ((49_000, 0.01), (49_000, 0.02), (48_000, 0.01)):
        trader.create_order(SYMBOL, "limit", "buy", amount, price)
    for price in (52_000, 51_000):
        other.create_order(SYMBOL, "limit", "sell", 0.01, price)
    book = public.fetch_order_book(SYMBOL)
    assert book["bids"] == [[49_000, 0.03], [48_000, 0.01]]
    assert book["asks"] == [[51_000, 0.01], [52_000, 0.01]]
    assert public.fetch_order_book(SYMBOL, 1)["bids"] == [[49_000, 0.03]]
    trader.create_order(SYMBOL, "limit", "buy", 0.01, 47_000)
    assert public.fetch_order_book(SYMBOL)["nonce"] > book["nonce"]


def test_trades(public, trader, other):
    other.create_order(SYMBOL, "limit", "sell", 0.01, 50_500)
    trader.create_order(SYMBOL, "market", "buy", 0.01)
    last = public.fetch_trades(SYMBOL)[-1]
    assert (last["price"], last["amount"], last["side"], last["cost"]) == (50_500, 0.01, "buy", 505)
    assert public.fetch_trades(SYMBOL, limit=1) == [last]
    recent = public.public_get_trades({"symbol": "BTCUSDT", "limit": 1})
    assert [trade["price"] for trade in recent] == ["50500.00000000"]
    # ccxt wants a key for this one; the exchange does not.
    old = trader.public_get_historicaltrades({"symbol": "BTCUSDT", "fromId": recent[0]["id"]})
    assert old == recent


def test_candles(public, market):
    last = public.fetch_ohlcv(SYMBOL, "1d")[-1]
    assert len(last) == 6
    opened, first, high, low, close, volume = last
    assert opened % 86_400_000 == 0
    assert low <= first <= high
    assert (close, volume > 0) == (LAST_PRICE, True)
    for interval in ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "3d", "1w", "1M"):
        assert public.fetch_ohlcv(SYMBOL, interval)[-1][4] == LAST_PRICE, interval
    raw = public.public_get_klines({"symbol": "BTCUSDT", "interval": "1m"})[-1]
    assert len(raw) == 12


def test_tickers(public, trader, other):
    trader.create_order(SYMBOL, "limit", "buy", 0.01, 49_000)
    other.create_order(SYMBOL, "limit", "sell", 0.02, 51_000)
    ticker = public.fetch_ticker(SYMBOL)
    assert (ticker["last"], ticker["bid"], ticker["ask"]) == (LAST_PRICE, 49_000, 51_000)
    assert (ticker["bidVolume"], ticker["askVolume"]) == (0.01, 0.02)
    assert ticker["change"] == pytest.approx(ticker["last"] - ticker["open"])
    assert ticker["percentage"] == pytest.approx(100 * ticker["change"] / ticker["open"], abs=0.001)
    assert ticker["low"] <= ticker["vwap"] <= ticker["high"]
    assert set(public.fetch_tickers()) == set(public.markets)
    assert set(public.fetch_tickers([SYMBOL, "ETH/USDT"])) == {SYMBOL, "ETH/USDT"}
    assert public.fetch_bids_asks([SYMBOL])[SYMBOL]["ask"] == 51_000
    assert public.fetch_last_prices([SYMBOL])[SYMBOL]["price"] == LAST_PRICE
    assert float(public.public_get_avgprice({"symbol": "BTCUSDT"})["price"]) > 0


def test_what_does_not_exist_is_named(public):
    with pytest.raises(ccxt.BadSymbol):
        public.public_get_depth({"symbol": "NOSUCH"})
    with pytest.raises(ccxt.BadRequest, match="-1120"):
        public.public_get_klines({"symbol": "BTCUSDT", "interval": "7m"})


def test_windows_of_other_lengths(public, market):
    hour = public.public_get_ticker({"symbol": "BTCUSDT", "windowSize": "1h"})
    day = public.public_get_ticker_tradingday({"symbol": "BTCUSDT"})
    assert float(hour["lastPrice"]) == float(day["lastPrice"]) == LAST_PRICE
    assert int(day["closeTime"]) - int(day["openTime"]) == 86_399_999


def test_an_endpoint_that_does_not_exist_is_named(trader):
    with pytest.raises(ccxt.BadRequest, match="-1020"):
        trader.private_get_myallocations({"symbol": "BTCUSDT"})
