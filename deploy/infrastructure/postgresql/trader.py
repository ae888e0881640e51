"""Places orders until it is ended, and checks that every acknowledged one exists. For the test of the fail-over.

    trader.py trade FILE KEY SECRET SERVER…     appends `time id` to FILE for each acknowledged order
    trader.py check FILE KEY SECRET SERVER…     prints acknowledged and lost orders; status 1 if one is lost
    trader.py since FILE TIME                   prints seconds from TIME to the next acknowledged order; status 1 if there is none

An order without an answer is in doubt, and not counted.
"""

import hashlib
import hmac
import json
import os
import sys
import time
import urllib.parse
import urllib.request


def call(server, key, secret, method, path, **parameters):
    parameters.update(timestamp=int(time.time() * 1000), recvWindow=10000)
    query = urllib.parse.urlencode(parameters)
    signature = hmac.new(secret.encode(), query.encode(), hashlib.sha256).hexdigest()
    request = urllib.request.Request(f"{server}{path}?{query}&signature={signature}", method=method, headers={"X-MBX-APIKEY": key})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


def trade(file, key, secret, *servers):
    # A second run must not repeat the ids of the first.
    number, preferred, run = 0, 0, os.getpid()
    with open(file, "a", encoding="utf-8") as acknowledged:
        while True:
            number += 1
            try:
                call(servers[preferred % len(servers)], key, secret, "POST", "/api/v3/order", symbol="BTCUSDT", side="BUY", type="LIMIT",
                     timeInForce="GTC", quantity="0.1", price="1000", newClientOrderId=f"o{run}-{number}")
                acknowledged.write(f"{time.time()} o{run}-{number}\n")
                acknowledged.flush()
            except Exception as error:  # refused, unanswered, not the leader: the next server, another id
                print(f"o{run}-{number}: {error} {getattr(error, 'read', bytes)()[:200]}", flush=True)
                preferred += 1
            time.sleep(0.1)


def check(file, key, secret, *servers):
    with open(file, encoding="utf-8") as lines:
        moments = {line.split()[1]: line.split()[0] for line in lines}
    acknowledged = set(moments)
    report = "no server answers"
    # Servers that reconnect refuse; one that answers must have every acknowledged order.
    for _ in range(100):
        for server in servers:
            try:
                found = {order["clientOrderId"] for order in call(server, key, secret, "GET", "/api/v3/openOrders", symbol="BTCUSDT")}
            except Exception as error:
                print(error)
                continue
            lost = acknowledged - found
            report = f"{len(acknowledged)} acknowledged, {len(lost)} lost, {len(found - acknowledged)} executed without an answer"
            if acknowledged and not lost:
                print(report)
                return
            sys.exit(f"{report}: {', '.join(sorted(lost, key=moments.get))}")
        time.sleep(0.2)
    sys.exit(report)


def since(file, moment):
    with open(file, encoding="utf-8") as lines:
        later = [float(line.split()[0]) - float(moment) for line in lines if float(line.split()[0]) > float(moment)]
    if not later:
        sys.exit(1)
    print(f"{later[0]:.1f}")


{"trade": trade, "check": check, "since": since}[sys.argv[1]](*sys.argv[2:])
