"""Serves boards, runbooks, logs and traces of a run on one machine: the addresses that the links of an alert lead to.

- Boards are read from dashboards/grafana, runbooks from dashboards/runbooks, logs from the run's log folder.
- Queries go to Prometheus through this server, so that the browser needs one address.
- Traces come from the receiver of spans, through this server.
- A search reads at most SCAN_BYTES from the end of each log file and returns at most MATCHES lines.
- It must not listen on another address than loopback, and must not write.
"""

import argparse
import html
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SCAN_BYTES = 32 * 1024 * 1024
MATCHES = 500
MINUTES_MAX = 24 * 60
QUERY_BYTES = 16 * 1024
TIMEOUT_SECONDS = 30
HERE = Path(__file__).resolve().parent
NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
TRACE = re.compile(r"[0-9a-f]{32}")
STATIC = {
    "viewer.js": "text/javascript",
    "traces.js": "text/javascript",
    "viewer.css": "text/css",
    "vendor/uPlot.iife.min.js": "text/javascript",
    "vendor/uPlot.min.css": "text/css",
}


class NotFound(Exception):
    """There is no page at this address."""


class BadRequest(Exception):
    """A parameter is wrong."""


def inline(text):
    """Renders code, bold and links of one line of Markdown."""
    parts = re.split(r"(`[^`]*`)", text)
    for at, part in enumerate(parts):
        if at % 2:
            parts[at] = f"<code>{html.escape(part[1:-1])}</code>"
        else:
            part = html.escape(part)
            part = re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", part)
            part = re.sub(r"\[([^\]]+)\]\((https?://[^)\s]+)\)", r'<a href="\2">\1</a>', part)
            parts[at] = re.sub(r"\[([^\]]+)\]\((\w+\.md)\)", r'<a href="/runbooks/\2">\1</a>', part)
    return "".join(parts)


def linked(text, names):
    """Turns names of runbooks outside links into links."""
    link = lambda m: f'<a href="/runbooks/{m[0]}.md">{m[0]}</a>' if m[0] in names else m[0]
    return re.sub(r"<a .*?</a>|\b[A-Z][A-Za-z0-9]+\b", link, text)


def rendered(text, names):
    """Renders a runbook: headings, lists, code blocks, paragraphs."""
    out, code, listed = [], None, False
    for line in text.splitlines():
        bare = line.strip()
        if bare.startswith("```"):
            if code is None:
                code = []
            else:
                out.append("<pre>" + html.escape("\n".join(code)) + "</pre>")
                code = None
            continue
        if code is not None:
            code.append(line.removeprefix("   "))
            continue
        item = re.match(r"(?:-|\d+\.) (.*)", bare)
        if listed and not item:
            out.append("</ul>")
            listed = False
        if not bare:
            continue
        heading = re.match(r"(#{1,3}) (.*)", bare)
        if heading:
            level = len(heading[1])
            out.append(f"<h{level}>{inline(heading[2])}</h{level}>")
        elif item:
            if not listed:
                out.append("<ul>")
                listed = True
            mark = "" if bare.startswith("-") else f"<b>{bare.split('.', 1)[0]}.</b> "
            out.append(f"<li{' class=numbered' if mark else ''}>{mark}{linked(inline(item[1]), names)}</li>")
        else:
            out.append(f"<p>{linked(inline(bare), names)}</p>")
    return "\n".join(out + (["</ul>"] if listed else []))


def page(title, body, script=""):
    tag = f'<script src="/static/vendor/uPlot.iife.min.js"></script><script src="/static/viewer.js"></script><script src="/static/traces.js"></script>{script}' if script else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title><link rel="stylesheet" href="/static/vendor/uPlot.min.css"><link rel="stylesheet" href="/static/viewer.css"></head>
<body><nav><a href="/">Boards</a> <a href="/runbooks/">Runbooks</a> <a href="/logs">Logs</a> <a href="/traces">Traces</a></nav>
<main>{body}</main>{tag}</body></html>"""


def tail(path):
    """The last lines of a file, at most SCAN_BYTES of it."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - SCAN_BYTES))
        text = file.read(SCAN_BYTES).decode("utf-8", "replace")
    lines = text.splitlines()
    return lines[1:] if size > SCAN_BYTES else lines


def search(folder, asked):
    """Lines of the run's logs that match every filter, newest first."""
    try:
        minutes = min(int(asked.get("minutes") or 60), MINUTES_MAX)
        end = datetime.fromtimestamp(int(asked["to"]) / 1000, timezone.utc) if asked.get("to") else datetime.now(timezone.utc)
        duration = float(asked.get("min_ms") or 0) * 1e6
        status = int(asked.get("min_status") or 0)
    except (ValueError, OverflowError, OSError) as error:
        raise BadRequest(f"minutes, to, min_ms and min_status must be numbers: {error}") from error
    start = end - timedelta(minutes=minutes)
    found = []
    for path in sorted(folder.glob("*.log")):
        for line in tail(path):
            if not line.startswith("{"):
                continue
            try:
                fields = json.loads(line)
                at = datetime.fromisoformat(fields["@timestamp"].replace("Z", "+00:00"))
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
            wanted = (
                start <= at <= end
                and matches(fields, "trace.id", asked.get("trace"))
                and matches(fields, "http.request.id", asked.get("request"))
                and (not asked.get("program") or asked["program"] in (fields.get("service.name"), path.stem))
                and (not asked.get("level") or fields.get("log.level") == asked["level"])
                and (not asked.get("route") or fields.get("url.path") == asked["route"] or fields.get("http.route") == asked["route"])
                and (not status or int(fields.get("http.response.status_code") or 0) >= status)
                and (not duration or float(fields.get("event.duration") or 0) >= duration)
                and (not asked.get("text") or asked["text"] in line)
            )
            if wanted:
                found.append((at, path.stem, fields))
    found.sort(key=lambda entry: entry[0], reverse=True)
    return [{"program": program, **fields} for _, program, fields in found[:MATCHES]]


def matches(fields, name, value):
    return not value or fields.get(name) == value


class Viewer(BaseHTTPRequestHandler):
    """Answers GET requests."""

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        try:
            kind, body = self.answer(url.path, dict(urllib.parse.parse_qsl(url.query)))
            self.reply(200, kind, body)
        except NotFound:
            self.reply(404, "text/html", page("Not found", "<h1>There is no page at this address</h1>"))
        except BadRequest as error:
            self.reply(400, "text/plain", str(error))
        except (urllib.error.URLError, TimeoutError) as error:
            asked = "Prometheus" if url.path.startswith("/api/query") else "the receiver of spans"
            self.reply(502, "application/json", json.dumps({"status": "error", "error": f"{asked} does not answer: {error}"}))

    def answer(self, path, asked):
        boards, runbooks = self.server.repository / "dashboards/grafana", self.server.repository / "dashboards/runbooks"
        if path == "/":
            items = [(file.stem, json.loads(file.read_text())) for file in sorted(boards.glob("*.json"))]
            # The overview first, then the boards in the order of its links.
            order = {link["title"]: at for at, link in enumerate(dict(items)["overview"]["links"])}
            items.sort(key=lambda item: (item[0] != "overview", order.get(item[1]["title"], len(order))))
            rows = "".join(f'<li><a href="/d/{uid}">{html.escape(b["title"])}</a> {html.escape(b["description"])}</li>' for uid, b in items)
            return "text/html", page("Boards", f"<h1>Boards</h1><ul class=boards>{rows}</ul>")
        if path.startswith("/d/"):
            board = self.file(boards, path[3:], ".json")
            title = json.loads(board)["title"]
            return "text/html", page(title, f'<div id="board" data-uid="{path[3:]}"></div>', "<script>showBoard()</script>")
        if path.startswith("/api/board/"):
            return "application/json", self.file(boards, path[len("/api/board/"):], ".json")
        if path in ("/api/query_range", "/api/query"):
            if len(asked.get("query", "")) > QUERY_BYTES:
                raise BadRequest(f"query is longer than {QUERY_BYTES} bytes")
            return "application/json", self.prometheus(path[len("/api/"):], asked)
        if path == "/runbooks/":
            names = sorted(file.stem for file in runbooks.glob("*.md"))
            rows = "".join(f'<li><a href="/runbooks/{name}.md">{name}</a></li>' for name in names)
            return "text/html", page("Runbooks", f"<h1>Runbooks</h1><ul class=names>{rows}</ul>")
        if path.startswith("/runbooks/"):
            name = path[len("/runbooks/"):].removesuffix(".md")
            text = self.file(runbooks, name, ".md")
            names = {file.stem for file in runbooks.glob("*.md")} - {name}
            return "text/html", page(name, rendered(text, names))
        if path == "/logs":
            return "text/html", page("Logs", '<div id="logs"></div>', "<script>showLogs()</script>")
        if path == "/api/logs":
            return "application/json", json.dumps(search(self.server.logs, asked))
        if path == "/traces":
            return "text/html", page("Traces", '<div id="traces"></div>', "<script>showTraces()</script>")
        if path == "/api/traces":
            return "application/json", self.stored("/api/traces?" + urllib.parse.urlencode(asked))
        if path.startswith(("/trace/", "/api/trace/")):
            kind, trace = path.rsplit("/", 1)
            if not TRACE.fullmatch(trace):
                raise BadRequest("a trace id has 32 hexadecimal digits")
            if kind == "/api/trace":
                return "application/json", self.stored(f"/api/traces/{trace}")
            return "text/html", page("Trace " + trace, f'<div id="trace" data-id="{trace}"></div>', "<script>showTrace()</script>")
        if path.startswith("/static/") and path[len("/static/"):] in STATIC:
            name = path[len("/static/"):]
            return STATIC[name], (HERE / name).read_text()
        raise NotFound

    @staticmethod
    def file(folder, name, extension):
        path = folder / (name + extension)
        if not NAME.fullmatch(name) or not path.is_file():
            raise NotFound
        return path.read_text()

    def prometheus(self, what, asked):
        query = urllib.parse.urlencode(asked).encode()
        request = urllib.request.Request(f"{self.server.prometheus}/api/v1/{what}", data=query)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as reply:
                return reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.read().decode()

    def stored(self, path):
        try:
            with urllib.request.urlopen(self.server.traces + path, timeout=TIMEOUT_SECONDS) as reply:
                return reply.read().decode()
        except urllib.error.HTTPError as error:
            return json.dumps({"error": error.read().decode().strip()})

    def reply(self, status, kind, body):
        data = body.encode()
        self.send_response(status)
        self.send_header("content-type", f"{kind}; charset=utf-8")
        self.send_header("content-length", str(len(data)))
        self.send_header("content-security-policy", "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def main():
    arguments = argparse.ArgumentParser(description="Show boards, runbooks, logs and traces of a run")
    arguments.add_argument("--port", type=int, required=True, help="port on loopback")
    arguments.add_argument("--prometheus", required=True, help="address of Prometheus")
    arguments.add_argument("--traces", required=True, help="address of the receiver of spans")
    arguments.add_argument("--logs", type=Path, required=True, help="folder with the logs of the run")
    given = arguments.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", given.port), Viewer)
    server.prometheus, server.traces, server.logs, server.repository = given.prometheus, given.traces, given.logs, HERE.parents[2]
    server.serve_forever()


if __name__ == "__main__":
    main()
