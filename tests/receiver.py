"""A real HTTP server that is told things: it keeps what it was sent and answers as a test wants."""

import hashlib
import hmac
import json
import threading
import time
import warnings
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from backend.operations.delivery_people import People

HANG = -1
DROP = -2
LONGEST_HANG_SECONDS = 30.0


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    def is_signed_with(self, secret: str) -> bool:
        """The signature computed anew, step by step, by RFC 2104 rather than by the library that made it."""
        key = secret.encode().ljust(64, b"\0")
        message = self.headers["x-qt-timestamp"].encode() + b"." + self.body
        inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + message).digest()
        outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).hexdigest()
        assert outer == hmac.new(secret.encode(), message, "sha256").hexdigest()
        return self.headers["x-qt-signature"] == f"sha256={outer}"


@dataclass
class Receiver:
    """Answers 200, or by path what stands in ``answers`` first; ``HANG`` waits until released, ``DROP`` hangs up."""

    answers: dict[str, deque[int]] = field(default_factory=lambda: defaultdict(deque))
    headers: dict[str, str] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def apprise(self, path: str = "/people") -> str:
        return f"json://127.0.0.1:{self.port}{path}"

    def answer(self, *statuses: int, path: str = "/hook") -> None:
        self.answers[path].extend(statuses)

    def at(self, path: str) -> list[Received]:
        return [one for one in self.received if one.path == path]

    def event_ids(self, path: str = "/hook") -> list[str]:
        return [one.json["event_id"] for one in self.at(path)]

    def wait_for(self, count: int, path: str = "/hook", seconds: float = 20.0) -> list[Received]:
        deadline = time.monotonic() + seconds
        while len(self.at(path)) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(self.at(path)) >= count, f"{len(self.at(path))} of {count} came to {path}"
        return self.at(path)


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.received.append(Received(self.path, headers, body))
            waiting = receiver.answers[self.path]
            status = waiting.popleft() if waiting else 200
            if status == HANG:
                receiver.released.wait(LONGEST_HANG_SECONDS)
            if status < 0:
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler


@cache
def load_apprise() -> None:
    """Let apprise read its plugins once; some of them import what newer Pythons warn about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        People("json://127.0.0.1").usable()


@contextmanager
def running_receiver() -> Iterator[Receiver]:
    """The server, listening; whatever hangs is released at the end."""
    load_apprise()
    receiver = Receiver()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(receiver))
    server.daemon_threads = True
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
