"""Messages between the service and its training child: a JSON head and raw bytes, each behind its length."""

import json
import struct
from typing import Any, BinaryIO

LENGTHS = struct.Struct(">QQ")


def send(stream: BinaryIO, head: dict[str, Any], body: bytes = b"") -> None:
    """Write one message and flush it."""
    text = json.dumps(head, allow_nan=False).encode()
    stream.write(LENGTHS.pack(len(text), len(body)))
    stream.write(text)
    stream.write(body)
    stream.flush()


def receive(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """Read one message; None at the end of the stream, also where it ends within a message."""
    lengths = stream.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    head_size, body_size = LENGTHS.unpack(lengths)
    text, body = stream.read(head_size), stream.read(body_size)
    if len(text) < head_size or len(body) < body_size:
        return None
    head: dict[str, Any] = json.loads(text)
    return head, body
