"""OCO through ccxt's own names for the endpoints; ccxt has no unified call for it on this market."""

import ccxt
import pytest

from conftest import SYMBOL


def place(trader, **changes):
    parameters = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "quantity": "0.01",
        "aboveType": "LIMIT_MAKER",
        "abovePrice": "60000",
        "belowType": "STOP_LOSS_LIMIT",
        "belowPrice": "44000",
        "belowStopPrice": "45000",
        "belowTimeInForce": "GTC",
    }
    return trader.private_post_orderlist_oco(parameters | changes)


def test_both_legs_rest_and_the_list_is_found(trader):
    placed = place(trader)
    assert (placed["contingencyType"], placed["listStatusType"]) == ("OCO", "EXEC_STARTED")
    assert {report["type"] for report in placed["orderReports"]} == {"LIMIT_MAKER", "STOP_LOSS_LIMIT"}
    assert len(placed["orders"]) == 2
    assert {order["info"]["type"] for order in trader.fetch_open_orders(SYMBOL)} == {"LIMIT_MAKER", "STOP_LOSS_LIMIT"}
    known = trader.private_get_orderlist({"orderListId": placed["orderListId"]})
    assert known["listClientOrderId"] == placed["listClientOrderId"]
    assert [found["orderListId"] for found in trader.private_get_openorderlist()] == [placed["orderListId"]]


def test_the_deprecated_request_places_both_legs(trader):
    placed = trader.private_post_order_oco({
        "symbol": "BTCUSDT", "side": "SELL", "quantity": "0.01", "price": "60000", "stopPrice": "45000",
        "stopLimitPrice": "44000", "stopLimitTimeInForce": "GTC",
    })
    assert {report["type"] for report in placed["orderReports"]} == {"LIMIT_MAKER", "STOP_LOSS_LIMIT"}
    assert trader.private_delete_orderlist({"symbol": "BTCUSDT", "orderListId": placed["orderListId"]})["listStatusType"] == "ALL_DONE"


def test_one_filled_cancels_the_other(trader, other):
    placed = place(trader)
    other.create_order(SYMBOL, "limit", "buy", 0.01, 60_000)
    status = {order["info"]["type"]: order["info"]["status"] for order in orders_of(trader, placed)}
    assert status == {"LIMIT_MAKER": "FILLED", "STOP_LOSS_LIMIT": "EXPIRED"}
    assert trader.private_get_openorderlist() == []
    done = trader.private_get_orderlist({"orderListId": placed["orderListId"]})
    assert done["listOrderStatus"] == "ALL_DONE"


def test_the_triggered_stop_ends_the_other(trader, other):
    placed = place(trader)
    other.create_order(SYMBOL, "limit", "buy", 0.02, 45_000)
    trader.create_order(SYMBOL, "market", "sell", 0.01)
    status = {order["info"]["type"]: order["info"]["status"] for order in orders_of(trader, placed)}
    assert status == {"LIMIT_MAKER": "EXPIRED", "STOP_LOSS_LIMIT": "FILLED"}


def test_cancelling_a_list_or_a_leg_cancels_both(trader):
    placed = place(trader)
    canceled = trader.private_delete_orderlist({"symbol": "BTCUSDT", "orderListId": placed["orderListId"]})
    assert (canceled["listStatusType"], canceled["listOrderStatus"]) == ("ALL_DONE", "ALL_DONE")
    assert {report["status"] for report in canceled["orderReports"]} == {"CANCELED"}
    assert trader.fetch_open_orders(SYMBOL) == []

    placed = place(trader)
    trader.cancel_order(str(placed["orders"][0]["orderId"]), SYMBOL)
    assert trader.fetch_open_orders(SYMBOL) == []
    known = [found["orderListId"] for found in trader.private_get_allorderlist()]
    assert placed["orderListId"] in known


def test_prices_on_the_wrong_side_are_refused(trader):
    with pytest.raises(ccxt.InvalidOrder, match="The relationship of the prices for the orders is not correct"):
        place(trader, abovePrice="43000")
    assert trader.fetch_open_orders(SYMBOL) == []


def orders_of(trader, placed):
    return [trader.fetch_order(str(order["orderId"]), SYMBOL) for order in placed["orders"]]
