"""Serves the pages with canned answers, for working on them without an engine. An aid, no test.

    python3 tests/pages/fake_api.py [--port 8099] [--scene calm|alert|early|empty] [--no-stream] [--no-sql]

Changes of actions need the token `fake`: http://127.0.0.1:8099/#token=fake
"""

import argparse
import json
import mimetypes
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import fake_engine
from fake_world import World, text

ASSETS = Path(__file__).resolve().parents[2] / "crates/api/assets"
PAGES = {"/": "pulse.html", "/pulse": "pulse.html", "/diagnosis": "diagnosis.html", "/engine-room": "engine-room.html"}
POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'"
TOKEN = "fake"
CHANGES = {"ack": (["PENDING"], "ACKED"), "done": (["ACKED"], "DONE"), "hold": (["PENDING", "ACKED"], "HOLD")}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world = None
    options = None

    def log_message(self, *_):
        pass

    def send(self, status, body, kind="application/json"):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status, code, message, **more):
        self.send(status, {"error": {"code": code, "message": message, **more}})

    def do_GET(self):
        url = urlsplit(self.path)
        if not url.path.startswith("/api/"):
            self.asset(url.path)
            return
        query, path = dict(parse_qsl(url.query)), url.path.removeprefix("/api/v1/")
        answers = {
            "trending": lambda: self.world.trending(query),
            "pulse": self.world.pulse,
            "decisions": self.world.decisions,
            "health": lambda: fake_engine.health(self.world),
            "engine": lambda: fake_engine.engine(self.world),
            "quarantine": lambda: fake_engine.quarantine(self.world),
        }
        if path == "events" and not self.options.no_stream:
            self.stream()
        elif path.startswith("videos/"):
            video = self.world.detail(unquote(path.removeprefix("videos/")))
            self.send(200, video) if video else self.refuse(404, "not_found", "no such video")
        elif path in answers:
            self.send(200, answers[path]())
        else:
            self.refuse(404, "not_found", f"there is no {url.path}")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        path = urlsplit(self.path).path.removeprefix("/api/v1/")
        if path == "sql":
            if self.options.no_sql:
                self.refuse(503, "unavailable", "the program pulselake-query was not found beside the engine: cargo build --release -p pulselake-query")
                return
            self.send(200, fake_engine.sql(self.world, body["sql"]))
            return
        _, action_id, verb = path.split("/")
        self.change(self.world.actions.get(action_id), verb)

    def change(self, action, verb):
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.refuse(401, "unauthorized", "the action token is missing or wrong")
        elif action is None:
            self.refuse(404, "not_found", "no such action")
        elif action["state"] not in CHANGES[verb][0]:
            self.refuse(409, "wrong_state", f"the action is {action['state']}", state=action["state"])
        else:
            time.sleep(0.3)
            action["state"], action["state_updated_at"] = CHANGES[verb][1], text(self.world.now())
            self.send(200, action)

    def stream(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            while True:
                events = {"pulse": self.world.pulse(), "trending": self.world.trending({}), "health": fake_engine.health(self.world)}
                for name, data in events.items():
                    self.wfile.write(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())
                self.wfile.write(b": alive\n\n")
                time.sleep(1)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def asset(self, path):
        name = PAGES.get(path) or path.removeprefix("/assets/")
        file = (ASSETS / name).resolve()
        if not file.is_relative_to(ASSETS) or not file.is_file():
            self.send(404, b"not found", "text/plain")
            return
        kind = "text/javascript" if file.suffix == ".js" else mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        self.send(200, file.read_bytes(), kind)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8099)
    parser.add_argument("--scene", choices=["calm", "alert", "early", "empty"], default="calm")
    parser.add_argument("--no-stream", action="store_true", help="no events: the pages have to poll")
    parser.add_argument("--no-sql", action="store_true", help="SQL answers 503")
    Handler.options = parser.parse_args()
    Handler.world = World(Handler.options.scene)
    server = ThreadingHTTPServer(("127.0.0.1", Handler.options.port), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}/#token={TOKEN}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
