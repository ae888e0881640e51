"""binance-sdk-spot: its models are made from the published schemas, so that a member of a wrong kind shows."""

import pytest
from binance_sdk_spot import BadRequestError, Spot, UnauthorizedError
from binance_common.configuration import ConfigurationRestAPI
from binance_sdk_spot.rest_api.models import (
    KlinesIntervalEnum,
    NewOrderSideEnum,
    NewOrderTimeInForceEnum,
    NewOrderTypeEnum,
    OrderListOtoPendingSideEnum,
    OrderListOtoPendingTypeEnum,
    OrderListOtoWorkingSideEnum,
    OrderListOtoWorkingTimeInForceEnum,
    OrderListOtoWorkingTypeEnum,
)

from conftest import LAST_PRICE

TIMEOUT_MILLISECONDS = 10_000


def connect(api_key, api_secret, rest):
    settings = ConfigurationRestAPI(api_key=api_key, api_secret=api_secret, base_path=rest, timeout=TIMEOUT_MILLISECONDS)
    return Spot(config_rest_api=settings).rest_api


@pytest.fixture
def client(accounts, rest, market):
    return connect(accounts[0]["api_key"], accounts[0]["secret_key"], rest)


def buy(client, price, quantity=0.01):
    limit, buy, until_canceled = NewOrderTypeEnum.LIMIT, NewOrderSideEnum.BUY, NewOrderTimeInForceEnum.GTC
    return client.new_order("BTCUSDT", buy, limit, time_in_force=until_canceled, quantity=quantity, price=price)


def test_an_order_from_placing_to_cancelling(client):
    placed = buy(client, 40_000)
    order = placed.data()
    assert (order.status, order.price, order.fills) == ("NEW", "40000.00000000", [])
    assert any(limit.count >= 1 for limit in placed.rate_limits)
    assert client.get_order("BTCUSDT", order_id=order.order_id).data().is_working is True
    assert [found.order_id for found in client.get_open_orders("BTCUSDT").data()] == [order.order_id]
    assert client.delete_order("BTCUSDT", order_id=order.order_id).data().status == "CANCELED"
    assert client.all_orders("BTCUSDT", limit=1).data()[0].order_id == order.order_id


def test_an_amended_order(client):
    order = buy(client, 40_000, 0.03).data()
    amended = client.order_amend_keep_priority("BTCUSDT", 0.02, order_id=order.order_id, new_client_order_id="smaller").data()
    after = amended.amended_order
    assert (after.order_id, after.qty, after.client_order_id) == (order.order_id, "0.02000000", "smaller")
    assert after.orig_client_order_id == order.client_order_id
    (amendment,) = client.order_amendments("BTCUSDT", order.order_id).data()
    assert (amendment.execution_id, amendment.orig_qty, amendment.new_qty) == (amended.execution_id, "0.03000000", "0.02000000")
    with pytest.raises(BadRequestError, match="quantity increase"):
        client.order_amend_keep_priority("BTCUSDT", 0.03, order_id=order.order_id)
    assert client.delete_order("BTCUSDT", orig_client_order_id="smaller").data().orig_qty == "0.02000000"


def test_a_list_with_a_pending_order(client):
    placed = client.order_list_oto(
        "BTCUSDT",
        OrderListOtoWorkingTypeEnum.LIMIT,
        OrderListOtoWorkingSideEnum.BUY,
        40_000,
        0.01,
        OrderListOtoPendingTypeEnum.LIMIT_MAKER,
        OrderListOtoPendingSideEnum.SELL,
        0.01,
        working_time_in_force=OrderListOtoWorkingTimeInForceEnum.GTC,
        pending_price=60_000,
    ).data()
    assert (placed.contingency_type, len(placed.orders)) == ("OTO", 2)
    assert [report.status for report in placed.order_reports] == ["NEW", "PENDING_NEW"]
    done = client.delete_order_list("BTCUSDT", order_list_id=placed.order_list_id).data()
    assert (done.list_order_status, [report.status for report in done.order_reports]) == ("ALL_DONE", ["CANCELED"] * 2)


def test_a_trade_of_ones_own(client, other):
    other.create_order("BTC/USDT", "limit", "sell", 0.01, 50_000)
    order = buy(client, 50_000).data()
    (fill,) = order.fills
    assert (order.status, fill.price, fill.commission_asset) == ("FILLED", "50000.00000000", "BTC")
    trade = client.my_trades("BTCUSDT").data()[-1]
    assert (trade.order_id, trade.id, trade.is_buyer) == (order.order_id, fill.trade_id, True)


def test_account_and_market_data(client):
    account = client.get_account(omit_zero_balances=True).data()
    assert (account.can_trade, account.account_type) == (True, "SPOT")
    assert client.account_commission("BTCUSDT").data().standard_commission.maker == "0.00100000"
    assert [limit.interval for limit in client.rate_limit_order().data()] == ["SECOND", "DAY"]
    information = client.exchange_info("BTCUSDT").data()
    assert [symbol.symbol for symbol in information.symbols] == ["BTCUSDT"]
    assert {limit.rate_limit_type for limit in information.rate_limits} >= {"REQUEST_WEIGHT", "ORDERS"}
    assert client.depth("BTCUSDT").data().bids == []
    assert client.get_trades("BTCUSDT").data()[-1].price == f"{LAST_PRICE}.00000000"
    assert client.agg_trades("BTCUSDT").data()[-1].p == f"{LAST_PRICE}.00000000"
    assert client.klines("BTCUSDT", KlinesIntervalEnum.INTERVAL_1m).data()[-1][4] == f"{LAST_PRICE}.00000000"
    assert client.avg_price("BTCUSDT").data().mins == 5
    assert client.time().data().server_time > 0


def test_refusals(client, accounts, rest):
    with pytest.raises(BadRequestError, match="Filter failure: PRICE_FILTER"):
        buy(client, 40_000.001)
    with pytest.raises((BadRequestError, UnauthorizedError), match="Signature for this request is not valid."):
        connect(accounts[0]["api_key"], "x" * 64, rest).get_account()
    assert client.get_open_orders("BTCUSDT").data() == []
