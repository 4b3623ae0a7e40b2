"""``qt serve``."""

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from functools import partial

import uvicorn
from fastapi import FastAPI

from backend import migrations
from backend.cli.listening import address, listen
from backend.cli.process import Places, running
from backend.clock import utc_now
from backend.database import Database
from backend.errors import InvalidInputError, UnavailableError
from backend.learning.versions.store import ArtifactStore
from backend.main import create_app
from backend.operations.delivery_targets import check_addresses
from backend.settings import ROOT, Settings, admin_token_in_environment, load_settings
from backend.trading.live import TraderLoop
from backend.trading.markets import OFF, REPLAY, feed_of, is_exchange
from backend.trading.resume import check_strategy

MARKET_ANSWERS_SECONDS = 5.0
GRACE_SECONDS = 10
QT = r".venv\Scripts\qt" if os.name == "nt" else ".venv/bin/qt"
CURL = "curl.exe" if os.name == "nt" else "curl"


class AnnouncedServer(uvicorn.Server):
    """Says where it is once it answers, and what is known of its market then."""

    def __init__(self, config: uvicorn.Config, announcement: Callable[[], str]) -> None:
        super().__init__(config)
        self.announcement = announcement

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then announce."""
        await super().startup(sockets)
        if not self.should_exit:
            print(await asyncio.to_thread(self.announcement), flush=True)


def serve() -> None:
    """Migrate, then run the service in this terminal until Ctrl-C."""
    settings = load_settings()
    check_market(settings)
    check_addresses(settings)
    listening = listen(settings)
    ArtifactStore(settings.model_dir).prepare()
    migrations.upgrade(settings.database_url)
    check_trader(settings)
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = AnnouncedServer(config, partial(_announced, settings, app))
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
    if not server.started:
        raise UnavailableError("The service could not start; the lines above say why.", reason="not_started")


def check_market(settings: Settings) -> None:
    """Refuse a market that cannot be had, before anything is created."""
    if is_exchange(settings.market):
        feed_of(settings, utc_now).close()
    elif settings.market == REPLAY:
        try:
            feed_of(settings, utc_now)
        except InvalidInputError as error:
            raise InvalidInputError(
                f"QT_MARKET_FILES: {error.message}", **{"reason": error.reason, **error.extra}
            ) from error


def check_trader(settings: Settings) -> None:
    """Refuse settings that contradict what the built-in trader's strategy began with."""
    if settings.market == OFF:
        return
    database = Database(settings.database_url)
    try:
        database.read(check_strategy, settings.strategy, settings.market, settings.timeframe)
    finally:
        database.close()


def _announced(settings: Settings, app: FastAPI) -> str:
    """The announcement, for which an exchange is given a moment to answer."""
    trader: TraderLoop | None = app.state.trader
    asked = trader is not None and is_exchange(settings.market)
    market = trader.introduction(MARKET_ANSWERS_SECONDS) if trader and asked else None
    return announcement(settings, market, background=running(Places(ROOT / "var")) == os.getpid())


def announcement(settings: Settings, market: str | None = None, *, background: bool = False) -> str:
    """What somebody who has just started it needs next; ``market`` is a sentence about the exchange.

    ``background``: whether qt start began it, so that no terminal can interrupt it.
    """
    where = "in the environment (QT_ADMIN_TOKEN)" if admin_token_in_environment() else "in .env (QT_ADMIN_TOKEN)"
    about = " (a simulated market, trading on paper)" if settings.market == "simulated" else ""
    return "\n".join(
        (
            "",
            f"Quantum Trader is ready{about}.",
            *((f"  Market: {market}",) if market else ()),
            f"  Page:   {address(settings)}/",
            f"  Token:  {where}; show it with: {QT} token",
            f'  Try:    {CURL} -s -H "X-Admin-Token: $({QT} token)" {address(settings)}/ai/status',
            f"  Stop:   {f'{QT} stop' if background else 'Ctrl-C'}",
        )
    )
