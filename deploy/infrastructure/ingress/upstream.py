"""A server for the test of the ingress: counts each POST by its id, answers with the address that X-Forwarded-For names, and ends on SIGTERM
after the requests in progress. `upstream.py PORT FILE` appends a line for each POST to FILE."""

import http.server
import signal
import sys
import threading
import time

PORT, FILE = int(sys.argv[1]), sys.argv[2]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, text):
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/slow":
            time.sleep(1)
        self.answer(self.headers.get("X-Forwarded-For", "") + "\n")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        with open(FILE, "a", encoding="utf-8") as file:
            file.write(body + "\n")
        time.sleep(0.05)
        self.answer("done\n")

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 1024


server = Server(("127.0.0.1", PORT), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
# Requests in progress end; connections that only wait do not hold the process.
time.sleep(1.2)
sys.stdout.flush()
import os  # noqa: E402

os._exit(0)
