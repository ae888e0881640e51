"""What the tests share: where the exchange is, clients of its accounts, a market at a known price."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

import ccxt
import pytest

SYMBOL = "BTC/USDT"
MARKET = "BTCUSDT"
LAST_PRICE = 50_000
DEADLINE_SECONDS = 30
POLL_SECONDS = 0.05
# A server reads changed keys every 250 ms, and states nowhere that it has.
KEYS_KNOWN_SECONDS = 1.5


@pytest.fixture(scope="session")
def endpoints():
    """`endpoints.json` of the exchange that whoever runs the tests has started."""
    path = os.environ.get("TEST_ENDPOINTS")
    if not path:
        pytest.exit("TEST_ENDPOINTS names no endpoints.json: run app/tests/clients/run", returncode=2)
    return json.loads(Path(path).read_text())


@pytest.fixture(scope="session")
def rest(endpoints):
    """Base URL of one server's REST API, without a path. Unsigned reads of another server may lag behind an order, so tests of what an
    order changes use one server. Streams and the WebSocket API are tested through the proxy, against both."""
    return endpoints["exchange"]["servers"][-1]


@pytest.fixture(scope="session")
def admin():
    """Calls `exchange admin`; what it prints is JSON."""

    def call(*arguments):
        command = [os.environ["TEST_EXCHANGE"], "admin", "--actor", "tests", "--reason", "clients of others", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        if arguments[:2] == ("api-key", "create"):
            time.sleep(KEYS_KNOWN_SECONDS)
        return json.loads(done.stdout)

    return call


@pytest.fixture(scope="session")
def connect(rest):
    """A ccxt client of an account's key."""

    def client(api_key, secret_key):
        return redirect(ccxt.binance({"apiKey": api_key, "secret": secret_key}), rest)

    return client


@pytest.fixture(scope="session")
def accounts(endpoints):
    """Two rich accounts."""
    return endpoints["accounts"][:2]


@pytest.fixture(scope="session")
def traders(accounts, connect):
    return [connect(account["api_key"], account["secret_key"]) for account in accounts]


@pytest.fixture
def trader(traders, market):
    """The account under test, on a market that is empty."""
    return traders[0]


@pytest.fixture
def other(traders, market):
    """Who trades with it."""
    return traders[1]


@pytest.fixture
def market(traders):
    """Empty books, and LAST_PRICE as the last price of BTCUSDT."""
    for exchange in traders:
        if exchange.fetch_open_orders(SYMBOL):
            exchange.cancel_all_orders(SYMBOL)
    maker, taker = traders[1], traders[0]
    maker.create_order(SYMBOL, "limit", "sell", 0.001, LAST_PRICE)
    assert taker.create_order(SYMBOL, "market", "buy", 0.001)["status"] == "closed"
    return MARKET


def credentials(account):
    return {"apiKey": account["api_key"], "secret": account["secret_key"]}


def redirect(exchange, rest):
    """The same ccxt client, speaking to this exchange: the hosts of its URLs are all that changes."""
    exchange.urls["api"] = {name: re.sub("https://[^/]+", rest, url) for name, url in exchange.urls["api"].items()}
    return exchange


def eventually(what, look):
    """The first true value that `look` gives."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not (found := look()):
        assert time.monotonic() < end, f"not within {DEADLINE_SECONDS} s: {what}"
        time.sleep(POLL_SECONDS)
    return found
