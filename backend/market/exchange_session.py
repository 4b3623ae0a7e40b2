"""The HTTP session of an exchange: an answer has a bound, and comes from the address that was asked."""

from __future__ import annotations

from typing import Any

MOST_BYTES = 32 * 1024 * 1024
"""More than any exchange needs to tell of all its markets."""


class UnfitAnswerError(Exception):
    """An answer that is not taken, whatever it holds."""


def guard(exchange: Any) -> None:
    """Open the session of a ccxt exchange and let it take fit answers alone; to be called in its event loop."""
    opened: Any = exchange.session
    if opened is not None:
        return
    import aiohttp

    class FitResponse(aiohttp.ClientResponse):
        async def start(self, connection: Any) -> aiohttp.ClientResponse:
            """Read the head; whoever answers does not choose which other address is asked."""
            await super().start(connection)
            if 300 <= self.status < 400:
                raise UnfitAnswerError(f"a redirect ({self.status}) to another address, which is not followed")
            return self

        async def text(self, encoding: str | None = None, errors: str = "strict") -> str:
            """Read the body as far as the bound."""
            body = bytearray()
            async for piece in self.content.iter_any():
                body += piece
                if len(body) > MOST_BYTES:
                    self.close()
                    raise UnfitAnswerError(f"more than {MOST_BYTES // 1024**2} MB, and was cut off")
            return body.decode(encoding or _known(self.charset), errors)

    # ccxt makes the connections as it always does; only what becomes of their answers is another matter.
    exchange.open()
    usual: Any = exchange.session
    exchange.session = aiohttp.ClientSession(
        connector=usual.connector, response_class=FitResponse, trust_env=exchange.aiohttp_trust_env
    )
    usual.detach()


def _known(charset: str | None) -> str:
    try:
        "".encode(charset or "utf-8")
    except LookupError:
        return "utf-8"
    return charset or "utf-8"
