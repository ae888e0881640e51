"""binance-connector, with HMAC and Ed25519 keys."""

import pytest
from binance.error import ClientError
from binance.spot import Spot
from Crypto.PublicKey import ECC

from conftest import LAST_PRICE

LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": "40000"}


@pytest.fixture(scope="module")
def hmac(accounts, rest):
    return Spot(api_key=accounts[0]["api_key"], api_secret=accounts[0]["secret_key"], base_url=rest)


@pytest.fixture(scope="module")
def ed25519(admin, rest, tmp_path_factory):
    """The same account by a key of which the exchange knows the public half only."""
    private = ECC.generate(curve="ed25519")
    public = tmp_path_factory.mktemp("keys") / "public.pem"
    public.write_text(private.public_key().export_key(format="PEM"))
    made = admin("api-key", "create", "demo", "--ed25519", str(public))
    assert made["secretKey"] is None
    pem = private.export_key(format="PEM", protection=None, use_pkcs8=True)
    return Spot(api_key=made["apiKey"], private_key=pem, base_url=rest)


@pytest.fixture(params=["hmac", "ed25519"])
def client(request, market):
    return request.getfixturevalue(request.param)


def test_an_order_from_placing_to_cancelling(client):
    placed = client.new_order(**LIMIT, newOrderRespType="RESULT", newClientOrderId="connector-1")
    assert (placed["status"], placed["price"], placed["origQty"]) == ("NEW", "40000.00000000", "0.01000000")
    assert placed["clientOrderId"] == "connector-1"
    found = client.get_order("BTCUSDT", orderId=placed["orderId"])
    assert (found["status"], found["isWorking"]) == ("NEW", True)
    assert [order["orderId"] for order in client.get_open_orders("BTCUSDT")] == [placed["orderId"]]
    canceled = client.cancel_order("BTCUSDT", origClientOrderId="connector-1")
    assert (canceled["status"], canceled["origClientOrderId"]) == ("CANCELED", "connector-1")
    assert client.get_orders("BTCUSDT", orderId=placed["orderId"])[0]["status"] == "CANCELED"


def test_replies_of_each_length(client, other):
    shortest = client.new_order(**LIMIT, newOrderRespType="ACK")
    assert set(shortest) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    result = client.new_order(**LIMIT, newOrderRespType="RESULT")
    assert result["status"] == "NEW"
    assert "fills" not in result
    with pytest.raises(ClientError, match="Order book liquidity is less than symbol minimum quantity."):
        client.new_order("BTCUSDT", "BUY", "MARKET", quoteOrderQty="100")
    other.create_order("BTC/USDT", "limit", "sell", 0.01, 50_000)
    full = client.new_order("BTCUSDT", "BUY", "MARKET", quoteOrderQty="100")
    assert (full["status"], full["executedQty"], full["cummulativeQuoteQty"]) == ("FILLED", "0.00200000", "100.00000000")
    assert [fill["qty"] for fill in full["fills"]] == ["0.00200000"]


def test_cancel_and_replace(client):
    placed = client.new_order(**LIMIT)
    replacing = LIMIT | {"price": "41000"}
    done = client.cancel_and_replace(**replacing, cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=placed["orderId"])
    assert (done["cancelResult"], done["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    assert done["cancelResponse"]["status"] == "CANCELED"
    assert done["newOrderResponse"]["price"] == "41000.00000000"

    with pytest.raises(ClientError) as refused:
        client.cancel_and_replace(**replacing, cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=placed["orderId"])
    assert (refused.value.status_code, refused.value.error_code) == (400, -2022)
    assert refused.value.error_data["newOrderResult"] == "NOT_ATTEMPTED"

    with pytest.raises(ClientError) as partly:
        client.cancel_and_replace(**replacing, cancelReplaceMode="ALLOW_FAILURE", cancelOrderId=placed["orderId"])
    assert (partly.value.status_code, partly.value.error_code) == (409, -2021)
    assert partly.value.error_data["cancelResult"] == "FAILURE"
    assert partly.value.error_data["newOrderResult"] == "SUCCESS"


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("LIMIT_MAKER", {"side": "BUY", "price": "40000"}),
        ("STOP_LOSS", {"side": "SELL", "stopPrice": "45000"}),
        ("STOP_LOSS_LIMIT", {"side": "SELL", "stopPrice": "45000", "price": "44000", "timeInForce": "GTC"}),
        ("TAKE_PROFIT", {"side": "SELL", "stopPrice": "60000"}),
        ("TAKE_PROFIT_LIMIT", {"side": "SELL", "stopPrice": "60000", "price": "61000", "timeInForce": "GTC"}),
    ],
)
def test_every_type_that_waits(client, kind, parameters):
    placed = client.new_order("BTCUSDT", type=kind, quantity="0.01", **parameters)
    found = client.get_order("BTCUSDT", orderId=placed["orderId"])
    assert (found["type"], found["status"], found["side"]) == (kind, "NEW", parameters["side"])
    canceled = client.cancel_order("BTCUSDT", orderId=placed["orderId"])
    assert (canceled["status"], canceled["type"]) == ("CANCELED", kind)


def test_every_type_that_takes_at_once(client, other):
    nothing = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "0.01", "price": "40000"}
    for time_in_force in ("IOC", "FOK"):
        expired = client.new_order(**nothing, timeInForce=time_in_force, newOrderRespType="RESULT")
        assert (expired["status"], expired["timeInForce"], expired["executedQty"]) == ("EXPIRED", time_in_force, "0.00000000")
    other.create_order("BTC/USDT", "limit", "sell", 0.01, 50_000)
    taken = client.new_order("BTCUSDT", "BUY", "MARKET", quantity="0.01")
    assert (taken["status"], taken["executedQty"]) == ("FILLED", "0.01000000")


def test_an_order_list(client):
    placed = client.new_oco_order(
        "BTCUSDT", "SELL", 0.01, "LIMIT_MAKER", "STOP_LOSS_LIMIT",
        abovePrice="60000", belowStopPrice="45000", belowPrice="44000", belowTimeInForce="GTC",
    )
    number = placed["orderListId"]
    assert client.get_oco_order(orderListId=number)["listOrderStatus"] == "EXECUTING"
    assert [found["orderListId"] for found in client.get_oco_open_orders()] == [number]
    assert number in [found["orderListId"] for found in client.get_oco_orders()]
    assert client.cancel_oco_order("BTCUSDT", orderListId=number)["listOrderStatus"] == "ALL_DONE"
    assert client.get_open_orders("BTCUSDT") == []


def test_lists_with_pending_orders(client):
    working = {"workingTimeInForce": "GTC", "workingClientOrderId": "working"}
    placed = client.new_otoco_order(
        "BTCUSDT", "LIMIT", "BUY", 40_000, 0.01, "SELL", 0.01, "LIMIT_MAKER", pendingAbovePrice="60000",
        pendingBelowType="STOP_LOSS", pendingBelowStopPrice="35000", **working,
    )
    assert [report["status"] for report in placed["orderReports"]] == ["NEW", "PENDING_NEW", "PENDING_NEW"]
    assert client.cancel_order("BTCUSDT", origClientOrderId="working")["contingencyType"] == "OTO"
    client.new_oto_order("BTCUSDT", "LIMIT", "BUY", 40_000, 0.01, "MARKET", "SELL", 0.01, listClientOrderId="oto", **working)
    assert client.get_oco_order(origClientOrderId="oto")["listOrderStatus"] == "EXECUTING"
    assert client.cancel_oco_order("BTCUSDT", listClientOrderId="oto")["listOrderStatus"] == "ALL_DONE"
    assert client.get_open_orders("BTCUSDT") == []


def test_the_account(client):
    account = client.account(omitZeroBalances="true")
    assert (account["canTrade"], account["accountType"]) == (True, "SPOT")
    assert {"BTC", "ETH", "BNB", "USDT"} <= {balance["asset"] for balance in account["balances"]}
    assert client.query_commission_rates("BTCUSDT")["standardCommission"]["taker"] == "0.00100000"
    last = client.my_trades("BTCUSDT")[-1]
    assert (last["price"], last["isBuyer"], last["isMaker"]) == (f"{LAST_PRICE}.00000000", True, False)
    assert [limit["interval"] for limit in client.get_order_rate_limit()] == ["SECOND", "DAY"]
    assert client.trade_fee(symbol="BTCUSDT")[0]["makerCommission"] == "0.00100000"
    assert {coin["coin"] for coin in client.coin_info()} >= {"BTC", "USDT"}


def test_market_data(rest, market):
    client = Spot(base_url=rest, show_limit_usage=True)
    assert client.ping()["data"] == {}
    told = client.exchange_info(symbol="BTCUSDT")
    (symbol,) = told["data"]["symbols"]
    assert int(told["limit_usage"]["x-mbx-used-weight-1m"]) > 0
    kinds = [known["filterType"] for known in symbol["filters"]]
    assert kinds[:2] == ["PRICE_FILTER", "LOT_SIZE"]
    assert client.time()["data"]["serverTime"] > 0
    assert client.ticker_price("BTCUSDT")["data"]["price"] == f"{LAST_PRICE}.00000000"
    assert client.ticker_24hr("BTCUSDT")["data"]["lastPrice"] == f"{LAST_PRICE}.00000000"
    assert client.agg_trades("BTCUSDT")["data"][-1]["p"] == f"{LAST_PRICE}.00000000"
    assert client.klines("BTCUSDT", "1h")["data"][-1][4] == f"{LAST_PRICE}.00000000"
    assert client.depth("BTCUSDT")["data"]["bids"] == []
    assert client.book_ticker("BTCUSDT")["data"]["bidQty"] == "0.00000000"
    assert client.avg_price("BTCUSDT")["data"]["mins"] == 5
    assert client.system_status()["data"] == {"status": 0, "msg": "normal"}


def test_a_wrong_private_key_signs_for_nobody(ed25519, rest):
    stranger = ECC.generate(curve="ed25519").export_key(format="PEM", protection=None, use_pkcs8=True)
    with pytest.raises(ClientError) as refused:
        Spot(api_key=ed25519.api_key, private_key=stranger, base_url=rest).account()
    assert (refused.value.error_code, refused.value.error_message) == (-1022, "Signature for this request is not valid.")


def test_refusals_keep_their_codes(client):
    for changes, code in (({"price": "40000.001"}, -1013), ({"quantity": "300", "price": "9000000"}, -1013), ({"symbol": "NOSUCH"}, -1121)):
        with pytest.raises(ClientError) as refused:
            client.new_order(**(LIMIT | changes))
        assert (refused.value.status_code, refused.value.error_code) == (400, code)
    with pytest.raises(ClientError) as refused:
        client.new_order(**LIMIT, strategyId="x")
    assert refused.value.status_code == 400
    assert client.get_open_orders("BTCUSDT") == []
