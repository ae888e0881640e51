"""python-binance."""

import pytest
from binance.client import Client
from binance.exceptions import BinanceAPIException

from conftest import LAST_PRICE


@pytest.fixture
def client(accounts, rest, market):
    """Its constructor has asked for a ping by then."""
    class Here(Client):
        API_URL = rest + "/api"
        MARGIN_API_URL = rest + "/sapi"

    return Here(accounts[0]["api_key"], accounts[0]["secret_key"])


def test_orders_by_its_own_calls(client):
    placed = client.order_limit_buy(symbol="BTCUSDT", quantity="0.01", price="40000")
    assert (placed["status"], placed["type"]) == ("NEW", "LIMIT")
    assert client.get_order(symbol="BTCUSDT", orderId=placed["orderId"])["status"] == "NEW"
    assert [order["orderId"] for order in client.get_open_orders(symbol="BTCUSDT")] == [placed["orderId"]]
    assert client.cancel_order(symbol="BTCUSDT", orderId=placed["orderId"])["status"] == "CANCELED"
    assert client.get_all_orders(symbol="BTCUSDT", limit=1)[0]["orderId"] == placed["orderId"]
    assert client.create_test_order(symbol="BTCUSDT", side="BUY", type="MARKET", quoteOrderQty="100") == {}


def test_a_market_order_takes(client, other):
    other.create_order("BTC/USDT", "limit", "sell", 0.01, 50_000)
    bought = client.order_market_buy(symbol="BTCUSDT", quantity="0.01")
    assert (bought["status"], bought["fills"][0]["price"]) == ("FILLED", "50000.00000000")
    assert client.get_my_trades(symbol="BTCUSDT")[-1]["orderId"] == bought["orderId"]


def test_an_order_list(client):
    placed = client.create_oco_order(
        symbol="BTCUSDT", side="SELL", quantity="0.01",
        aboveType="LIMIT_MAKER", abovePrice="60000", belowType="STOP_LOSS", belowStopPrice="45000",
    )
    assert placed["listOrderStatus"] == "EXECUTING"
    assert len(client.get_open_orders(symbol="BTCUSDT")) == 2


def test_account_and_market_data(client):
    assert client.get_account()["canTrade"] is True
    assert float(client.get_asset_balance(asset="BTC")["free"]) > 0
    assert client.get_symbol_info("BTCUSDT")["status"] == "TRADING"
    assert client.get_symbol_ticker(symbol="BTCUSDT")["price"] == f"{LAST_PRICE}.00000000"
    assert client.get_klines(symbol="BTCUSDT", interval="1d")[-1][4] == f"{LAST_PRICE}.00000000"
    assert client.get_ui_klines(symbol="BTCUSDT", interval="1d")[-1][4] == f"{LAST_PRICE}.00000000"
    assert client.get_order_book(symbol="BTCUSDT")["asks"] == []
    assert client.get_server_time()["serverTime"] > 0
    assert client.get_trade_fee(symbol="BTCUSDT")[0]["takerCommission"] == "0.00100000"
    assert client.get_system_status()["status"] == 0


def test_refusals(client):
    with pytest.raises(BinanceAPIException) as refused:
        client.order_limit_buy(symbol="BTCUSDT", quantity="0.000001", price="40000")
    assert (refused.value.status_code, refused.value.code) == (400, -1013)
    assert refused.value.message == "Filter failure: LOT_SIZE"
    with pytest.raises(BinanceAPIException) as refused:
        client.withdraw(coin="BTC", address="nowhere", amount=1)
    assert refused.value.code == -2015
