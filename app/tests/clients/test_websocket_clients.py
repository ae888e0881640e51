"""The WebSocket clients of python-binance, binance-connector and binance-sdk-spot."""

import asyncio
import json
import queue

import pytest
from binance import AsyncClient, BinanceSocketManager, DepthCacheManager
from binance.websocket.spot.websocket_api import SpotWebsocketAPIClient
from binance.websocket.spot.websocket_stream import SpotWebsocketStreamClient
from binance_common.configuration import ConfigurationWebSocketAPI, ConfigurationWebSocketStreams
from binance_sdk_spot import Spot
from binance_sdk_spot.websocket_api.models import OrderPlaceSideEnum, OrderPlaceTimeInForceEnum, OrderPlaceTypeEnum

from conftest import DEADLINE_SECONDS, LAST_PRICE, MARKET, SYMBOL


@pytest.fixture
def trade(trader, other):
    """One trade between the two accounts."""

    def trading():
        other.create_order(SYMBOL, "limit", "sell", 0.001, LAST_PRICE)
        trader.create_order(SYMBOL, "market", "buy", 0.001)

    return trading


@pytest.fixture
def urls(endpoints):
    exchange = endpoints["exchange"]
    return exchange["rest"], exchange["streams"].removesuffix("/ws"), exchange["ws_api"]


async def python_binance(account, urls):
    rest, streams, ws_api = urls
    AsyncClient.API_URL = f"{rest}/api"
    AsyncClient.WS_API_URL = ws_api
    BinanceSocketManager.STREAM_URL = f"{streams}/"
    return await AsyncClient.create(account["api_key"], account["secret_key"])


def test_python_binance_depth_cache(accounts, urls, other):
    async def scenario():
        client = await python_binance(accounts[0], urls)
        try:
            async with DepthCacheManager(client, MARKET, refresh_interval=0, limit=100) as manager:
                await asyncio.to_thread(other.create_order, SYMBOL, "limit", "buy", 0.02, 40_000)
                end = asyncio.get_running_loop().time() + DEADLINE_SECONDS
                while True:
                    cache = await asyncio.wait_for(manager.recv(), DEADLINE_SECONDS)
                    if [40_000.0, 0.02] in cache.get_bids():
                        return
                    assert asyncio.get_running_loop().time() < end, cache.get_bids()
        finally:
            await client.close_connection()

    asyncio.run(scenario())


def test_python_binance_user_socket(accounts, urls, trade):
    async def scenario():
        client = await python_binance(accounts[0], urls)
        try:
            async with BinanceSocketManager(client).user_socket() as socket:
                await asyncio.to_thread(trade)
                seen = set()
                while not {"executionReport", "outboundAccountPosition"} <= seen:
                    seen.add((await asyncio.wait_for(socket.recv(), DEADLINE_SECONDS)).get("e"))
        finally:
            await client.close_connection()

    asyncio.run(scenario())


def test_binance_connector_streams(urls, trade):
    messages = queue.Queue()
    client = SpotWebsocketStreamClient(stream_url=urls[1], on_message=lambda _, message: messages.put(json.loads(message)))
    try:
        client.agg_trade(symbol=MARKET, id=1)
        assert messages.get(timeout=DEADLINE_SECONDS) == {"result": None, "id": 1}
        trade()
        event = messages.get(timeout=DEADLINE_SECONDS)
        assert (event["e"], event["p"], event["q"]) == ("aggTrade", f"{LAST_PRICE}.00000000", "0.00100000")
    finally:
        client.stop()


def test_binance_connector_websocket_api(accounts, urls, market):
    messages = queue.Queue()
    client = SpotWebsocketAPIClient(
        stream_url=urls[2],
        api_key=accounts[0]["api_key"],
        api_secret=accounts[0]["secret_key"],
        on_message=lambda _, message: messages.put(json.loads(message)),
    )
    try:
        client.new_order(
            id=12, symbol=MARKET, side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.01", price="40000", newOrderRespType="RESULT"
        )
        placed = messages.get(timeout=DEADLINE_SECONDS)
        assert (placed["id"], placed["status"], placed["result"]["status"]) == (12, 200, "NEW")
        client.cancel_order(id=13, symbol=MARKET, orderId=placed["result"]["orderId"])
        assert messages.get(timeout=DEADLINE_SECONDS)["result"]["status"] == "CANCELED"
        client.account(id=14)
        assert messages.get(timeout=DEADLINE_SECONDS)["result"]["accountType"] == "SPOT"
    finally:
        client.stop()


def test_binance_sdk_spot_streams(urls, trade):
    async def scenario():
        spot = Spot(config_ws_streams=ConfigurationWebSocketStreams(stream_url=urls[1]))
        connection = await spot.websocket_streams.create_connection()
        try:
            events = asyncio.Queue()
            stream = await connection.trade(symbol=MARKET.lower())
            stream.on("message", events.put_nowait)
            await asyncio.to_thread(trade)
            event = await asyncio.wait_for(events.get(), DEADLINE_SECONDS)
            assert (event.s, event.p) == (MARKET, f"{LAST_PRICE}.00000000")
        finally:
            await connection.close_connection(close_session=True)

    asyncio.run(scenario())


def test_binance_sdk_spot_websocket_api(accounts, urls, market):
    async def scenario():
        account = accounts[0]
        settings = ConfigurationWebSocketAPI(
            api_key=account["api_key"], api_secret=account["secret_key"], stream_url=urls[2], timeout=10_000
        )
        connection = await Spot(config_ws_api=settings).websocket_api.create_connection()
        try:
            placed = await connection.order_place(
                symbol=MARKET,
                side=OrderPlaceSideEnum.BUY,
                type=OrderPlaceTypeEnum.LIMIT,
                time_in_force=OrderPlaceTimeInForceEnum.GTC,
                quantity=0.01,
                price=40_000,
            )
            order = placed.data().result
            assert order.status == "NEW"
            canceled = await connection.order_cancel(symbol=MARKET, order_id=order.order_id)
            assert canceled.data().result.status == "CANCELED"
            status = await connection.account_status()
            assert status.data().result.can_trade is True
        finally:
            await connection.close_connection(close_session=True)

    asyncio.run(scenario())
