"""What the trader says of its market, where everybody can read it: the feed's row, and the alarms about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from ai_engine.candles import timeframe_ms
from backend.clock import iso
from backend.learning.evidence.status import stale_after
from backend.market.feed import CandleRound, Feed
from backend.models import Feed as FeedRow
from backend.operations.alarms import close_alarm, raise_alarm
from backend.operations.codes import Code, Severity
from backend.trading.markets import holdings

STALE = "stale"
CATCHING_UP = "Catching up: these candles closed too long ago to enter on; exits and outcomes go on."


@dataclass(frozen=True, slots=True)
class Silence:
    """Why no candle comes.

    ``at`` is the market's time; ``since``, in ours, when a market that has never told a candle was first asked.
    """

    source: str
    timeframe: str
    why: str
    at: datetime
    since: datetime
    clock_offset_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """The last round of a transaction, and whether anything was decided in it.

    ``overdue`` are symbols whose position waits for a candle to leave by, ``dark`` those that have told none for longer
    than a market may be silent.
    """

    one: CandleRound
    decided: bool
    overdue: tuple[str, ...] = ()
    dark: tuple[str, ...] = ()


def say(session: Session, strategy: str, source: str, state: str, *, now: datetime, detail: str | None = None) -> None:
    """Write the feed's state where everybody can read it."""
    row = _row(session, strategy, source, now)
    row.state, row.updated_at, row.detail = state, now, detail


def say_silent(session: Session, strategy: str, silence: Silence, *, now: datetime) -> bool:
    """Say why no candle comes; whether the next one is overdue, which makes the feed stale and raises the alarm."""
    row = _row(session, strategy, silence.source, now)
    last, at = (row.market_time, silence.at) if row.market_time else (silence.since, now)
    overdue = at - last > stale_after(silence.timeframe)
    if overdue:
        row.state = STALE
        _raise_stale(session, strategy, silence, last, now)
    elif row.state != STALE:
        row.state = "warming" if row.market_time is None else "running"
    row.updated_at, row.detail, row.clock_offset_seconds = now, silence.why, silence.clock_offset_seconds
    return overdue


def say_answers(session: Session, strategy: str, *, now: datetime) -> None:
    """Forget a complaint that is over before it made the feed stale; what is stale only a round ends."""
    row = session.get(FeedRow, strategy)
    if row is not None and row.state != STALE:
        row.updated_at, row.detail = now, None


def say_round(session: Session, row: FeedRow, feed: Feed, taken: Taken, *, now: datetime) -> None:
    """Say that the round was taken; a fresh one ends a silence, one from long ago only shortens it."""
    row.market_time, row.updated_at, row.clock_offset_seconds = taken.one.close_time, now, feed.clock_offset_seconds
    if taken.one.fresh:
        row.state, row.detail = "running" if taken.decided else "warming", _lacking(taken)
        close_alarm(session, Code.MARKET_FEED_STALE, row.strategy, at=now)
    else:
        row.state, row.detail = STALE if row.state == STALE else "running", CATCHING_UP


def say_symbols(session: Session, strategy: str, feed: Feed, *, now: datetime) -> str | None:
    """Name the symbols that the market lacks, with an open alarm while there are any; the sentence, or None."""
    if not feed.unknown_symbols:
        close_alarm(session, Code.SYMBOLS_UNKNOWN, strategy, at=now)
        return None
    held = {one.symbol: one.decision_id for one in holdings(session, strategy) if one.state == "open"}
    sentence = _unknown(feed.source, feed.unknown_symbols, feed.symbols)
    for symbol in feed.unknown_symbols:
        if symbol in held:
            sentence += (
                f" The position in {symbol} stays open, since nothing prices it any more: tell its end with"
                f" POST /ai/decisions/{held[symbol]}/outcome."
            )
    evidence = {"unknown_symbols": list(feed.unknown_symbols), "traded_symbols": list(feed.symbols)}
    raise_alarm(
        session,
        Code.SYMBOLS_UNKNOWN,
        strategy,
        strategy=strategy,
        severity=Severity.WARNING,
        detail=sentence,
        evidence=evidence,
        at=now,
    )
    return sentence


def _lacking(taken: Taken) -> str | None:
    """Whose candles are missed, and what that holds up."""
    told = []
    if taken.overdue:
        told.append(
            f"No candle of {', '.join(taken.overdue)} comes, where a position should have been left; the next one ends"
            " it."
        )
    quiet = [symbol for symbol in taken.dark if symbol not in taken.overdue]
    if quiet:
        told.append(f"No candle of {', '.join(quiet)} comes any more; nothing is decided on it until one does.")
    return " ".join(told) or None


def _unknown(source: str, unknown: Sequence[str], known: Sequence[str]) -> str:
    others = f"{', '.join(known)} {'is' if len(known) == 1 else 'are'} traded" if known else "nothing is left to trade"
    return f"{source} has no {', '.join(unknown)} (QT_SYMBOLS); {others}."


def _raise_stale(session: Session, strategy: str, silence: Silence, last: datetime, now: datetime) -> None:
    due = last + timedelta(milliseconds=timeframe_ms(silence.timeframe))
    raise_alarm(
        session,
        Code.MARKET_FEED_STALE,
        strategy,
        strategy=strategy,
        severity=Severity.ERROR,
        detail=f"{silence.source} has told no candle since the one of {iso(last)}: {silence.why} Nothing is entered"
        " until it does; positions are left as soon as it does.",
        evidence={"market": silence.source, "last_candle_closed_at": iso(last), "next_was_due_at": iso(due)},
        at=now,
    )


def _row(session: Session, strategy: str, source: str, now: datetime) -> FeedRow:
    row = session.get(FeedRow, strategy)
    if row is None:
        row = FeedRow(strategy=strategy, source=source, state="warming", updated_at=now)
        session.add(row)
    return row
