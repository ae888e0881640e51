"""ccxt.pro: market streams, account streams, and orders over the WebSocket API."""

import asyncio
import re

import ccxt.pro
import pytest

from conftest import DEADLINE_SECONDS, LAST_PRICE, SYMBOL, credentials

TURN_SECONDS = 0.2


def redirect(client, rest, streams, ws_api):
    """The hosts of its URLs are all that changes."""
    api = client.urls["api"]
    for name, url in api.items():
        if isinstance(url, str):
            api[name] = re.sub("https://[^/]+", rest, url)
    api["ws"]["spot"] = streams
    api["ws"]["ws-api"]["spot"] = ws_api
    return client


@pytest.fixture
def run(accounts, endpoints, trader, other):
    """Runs `scenario(client, trade)`; `trade` makes one trade between the two accounts."""
    exchange = endpoints["exchange"]

    async def trade():
        await asyncio.to_thread(other.create_order, SYMBOL, "limit", "sell", 0.001, LAST_PRICE)
        await asyncio.to_thread(trader.create_order, SYMBOL, "market", "buy", 0.001)

    def running(scenario):
        async def connected():
            client = ccxt.pro.binance(credentials(accounts[0]))
            redirect(client, exchange["rest"], exchange["streams"], exchange["ws_api"])
            try:
                return await scenario(client, trade)
            finally:
                await client.close()

        return asyncio.run(connected())

    return running


async def first(watching, act):
    """What `watching` returns while `act` repeats."""
    task = asyncio.ensure_future(watching)
    end = asyncio.get_running_loop().time() + DEADLINE_SECONDS
    while not task.done():
        await act()
        await asyncio.wait([task], timeout=TURN_SECONDS)
        assert asyncio.get_running_loop().time() < end, f"not within {DEADLINE_SECONDS} s"
    return task.result()


def test_market_streams(run):
    async def scenario(client, trade):
        book = await first(client.watch_order_book(SYMBOL), trade)
        assert book["symbol"] == SYMBOL and book["nonce"] > 0
        trades = await first(client.watch_trades(SYMBOL), trade)
        assert (trades[-1]["price"], trades[-1]["amount"], trades[-1]["side"]) == (LAST_PRICE, 0.001, "buy")
        ticker = await first(client.watch_ticker(SYMBOL), trade)
        assert (ticker["last"], ticker["symbol"]) == (LAST_PRICE, SYMBOL)
        tickers = await first(client.watch_tickers([SYMBOL]), trade)
        assert tickers[SYMBOL]["last"] == LAST_PRICE
        candles = await first(client.watch_ohlcv(SYMBOL, "1m"), trade)
        assert candles[-1][4] == LAST_PRICE
        best = await first(client.watch_bids_asks([SYMBOL]), trade)
        assert SYMBOL in best

    run(scenario)


def test_account_streams(run):
    async def scenario(client, trade):
        order = await first(client.watch_orders(SYMBOL), trade)
        assert order[-1]["symbol"] == SYMBOL
        trades = await first(client.watch_my_trades(SYMBOL), trade)
        assert (trades[-1]["price"], trades[-1]["amount"], trades[-1]["takerOrMaker"]) == (LAST_PRICE, 0.001, "taker")
        balance = await first(client.watch_balance(), trade)
        assert balance["BTC"]["total"] > 0

    run(scenario)


def test_orders_over_the_websocket_api(run):
    async def scenario(client, trade):
        placed = await client.create_order_ws(SYMBOL, "limit", "buy", 0.01, 40_000)
        assert (placed["status"], placed["price"]) == ("open", 40_000)
        edited = await client.edit_order_ws(placed["id"], SYMBOL, "limit", "buy", 0.01, 41_000)
        assert (edited["status"], edited["price"]) == ("open", 41_000)
        assert [order["id"] for order in await client.fetch_open_orders_ws(SYMBOL)] == [edited["id"]]
        canceled = await client.cancel_order_ws(edited["id"], SYMBOL)
        assert canceled["status"] == "canceled"
        assert all(trade["symbol"] == SYMBOL for trade in await client.fetch_my_trades_ws(SYMBOL))
        with pytest.raises(ccxt.pro.OrderNotFound):
            await client.cancel_order_ws(edited["id"], SYMBOL)

    run(scenario)
