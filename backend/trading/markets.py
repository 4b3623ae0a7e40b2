"""Which market the trader trades on, and which symbols it follows there: the settings' own, and what it still holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

from sqlalchemy import null, select
from sqlalchemy.orm import Session

from backend.clock import Clock
from backend.errors import InvalidInputError
from backend.market.exchange import ExchangeMarket
from backend.market.feed import Feed
from backend.market.files import FileMarket, expand
from backend.market.klines import name_parts
from backend.market.simulated import SimulatedMarket
from backend.models import AITrainingSample, Position
from backend.settings import Settings

SIMULATED, REPLAY, OFF = "simulated", "replay", "off"
OWN_MARKETS = (SIMULATED, REPLAY)
LIVE_STATES = ("ordered", "open")


def has_trader(market: str) -> bool:
    """Whether the built-in trader trades on the market."""
    return market != OFF


def is_exchange(market: str) -> bool:
    """Whether the market is a real one, elsewhere, with a clock of its own."""
    return market not in (*OWN_MARKETS, OFF)


def feed_of(settings: Settings, clock: Clock, also: Sequence[str] = ()) -> Feed:
    """The market that the settings name, with the symbols of the settings and, where it has them, ``also``.

    Raises
    ------
    InvalidInputError
        If the settings name no market that can be traded on.
    """
    symbols = tuple(dict.fromkeys((*settings.symbols, *also)))
    if settings.market == SIMULATED:
        return SimulatedMarket(symbols, settings.timeframe, now=clock)
    if settings.market == REPLAY and settings.market_files is not None:
        return FileMarket(settings.market_files, settings.timeframe, _symbols_in_files(settings, also))
    if not is_exchange(settings.market):
        raise InvalidInputError(f"QT_MARKET={settings.market} has no trader.", field="QT_MARKET")
    return ExchangeMarket(settings.market, symbols, settings.timeframe, url=settings.exchange_url, now=clock)


def _symbols_in_files(settings: Settings, also: Sequence[str]) -> tuple[str, ...] | None:
    """Those of the configured symbols that the files hold; None, which means all, where they hold none of them."""
    held = {name_parts(path)[0] for path in expand(settings.market_files or "")}
    configured = tuple(symbol for symbol in settings.symbols if symbol in held)
    return (*configured, *(held & set(also) - set(configured))) if configured else None


def exits_only(settings: Settings, feed: Feed, also: Sequence[str]) -> frozenset[str]:
    """Symbols followed to their end and not decided on any more; files without a configured symbol trade all."""
    if settings.market == REPLAY and not set(settings.symbols) & set(feed.symbols):
        return frozenset()
    return frozenset(also) - frozenset(settings.symbols)


@dataclass(frozen=True, slots=True)
class Holding:
    """A decision of the trader's own whose position lives, or whose outcome only the market's candles can tell."""

    symbol: str
    decision_id: str
    state: str | None


def holdings(session: Session, strategy: str) -> list[Holding]:
    """What the trader of the strategy has not done with: a symbol taken out of the settings is followed to its end."""
    row = AITrainingSample
    held = select(row.symbol, row.decision_id, Position.state).join(Position, Position.sample_id == row.id)
    held = held.where(Position.strategy == strategy, Position.state.in_(LIVE_STATES))
    unpriced = select(row.symbol, row.decision_id, null()).where(row.strategy == strategy, row.origin == "decision")
    unpriced = unpriced.where(row.forward_return.is_(None), row.forward_return_source.is_(None))
    found = [*session.execute(held), *session.execute(unpriced.where(row.body_hash.is_(None)))]
    return [Holding(*one) for one in sorted(found, key=itemgetter(0, 1))]
