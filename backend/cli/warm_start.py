"""``qt warm-start``: samples from candles of the past, so that a first version need not wait for a week of trading."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import numpy as np
import typer

from ai_engine.candles import COLUMNS, Candles, clean
from ai_engine.features.catalogue import WINDOW
from backend.cli.assembly import ACTOR, Assembly, assembled
from backend.cli.output import JsonOption, StrategyOption, answer, cell, print_rows, progress_bar
from backend.clock import from_ms, iso, to_ms
from backend.errors import InvalidInputError
from backend.learning.decisions import historical
from backend.learning.decisions.checks import normal_symbol
from backend.learning.decisions.historical_plan import Plan, Terms, plan_of
from backend.learning.decisions.strategies import get_strategy
from backend.market.exchange import ExchangeMarket
from backend.market.feed import Feed, FeedUnavailableError
from backend.market.files import FileMarket
from backend.market.simulated import SOURCE as SIMULATED
from backend.market.simulated import SimulatedMarket
from backend.settings import Settings

PAGE = 1_000
ATTEMPTS = 5
LONGEST_WAIT_SECONDS = 120.0
EVERY_CANDLE = 10_000_000

Answer = TypeVar("Answer")
Tell = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class WarmStartOptions:
    """What is asked for: where the candles come from, and which rows are made of them."""

    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILES]", help="Candle files (SYMBOL-TIMEFRAME.csv or .csv.gz), folders or globs."),
    ] = None
    days: Annotated[
        int | None,
        typer.Option(min=1, max=3_650, help="Without FILES: fetch so many days from the market that QT_MARKET names."),
    ] = None
    symbols: Annotated[
        str | None, typer.Option(help="Only these, separated by commas. Default: all files, QT_SYMBOLS.")
    ] = None
    stride: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10_000,
            help="A row every so many candles. Default: a quarter of the horizon; rows closer than the horizon share"
            " part of their outcome, so that twice as many carry little more.",
        ),
    ] = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be added, and write nothing.")] = False
    remove: Annotated[bool, typer.Option("--remove", help="Take the strategy's historical samples away again.")] = False

    @property
    def names(self) -> tuple[str, ...] | None:
        """The symbols asked for."""
        if self.symbols is None:
            return None
        names = tuple(normal_symbol(name.strip().upper()) for name in self.symbols.split(",") if name.strip())
        if not names:
            raise InvalidInputError(
                "--symbols names no symbol. Leave it out, or write BTCUSDC,ETHUSDC.", field="symbols"
            )
        return names


class Past(NamedTuple):
    """What there is of the past, and the symbols that the market does not have."""

    candles: dict[str, Candles]
    unknown: tuple[str, ...] = ()


def warm_start(options: WarmStartOptions, strategy: StrategyOption = None, as_json: JsonOption = False) -> None:
    """Learn from candles of the past, from files or from the exchange.

    The samples are those the trader would have made, tagged historical. They train, but never count as live: no
    version is credited with them. Each weighs half of what an executed trade does, and less as executed trades
    arrive. A second run adds nothing twice.
    """
    if bool(options.files) + (options.days is not None) + options.remove != 1:
        raise typer.BadParameter("give one of FILES, --days N and --remove", param_hint="FILES")
    with assembled() as assembly:
        name = strategy or assembly.settings.strategy
        if options.remove:
            answer(_removed(assembly, name), as_json, _show_removal)
            return
        with progress_bar("Warm start", quiet=as_json) as progress:
            told = _warmed(assembly, name, options, progress)
    answer(told, as_json, _show)


def _removed(assembly: Assembly, name: str) -> dict[str, Any]:
    assembly.database.read(get_strategy, name, settings=assembly.settings)
    removed = assembly.database.write(historical.remove, name, now=assembly.clock(), actor=ACTOR)
    return {"status": "ok", "strategy": name, "removed": removed}


def _show_removal(told: Mapping[str, Any]) -> None:
    print(f"Removed {told['removed']} historical samples from {told['strategy']}; versions trained on them stay.")


def _warmed(assembly: Assembly, name: str, wanted: WarmStartOptions, progress: Tell) -> dict[str, Any]:
    settings, database, now = assembly.settings, assembly.database, assembly.clock()
    source = None if wanted.files else _source(settings)
    terms = database.read(historical.terms_of, name, source=source, settings=settings)
    candles, unknown = _candles(settings, terms, wanted, now, progress)
    stride = wanted.stride or terms.usual_stride
    plan = database.read(historical.without_known, plan_of(candles, terms, stride), terms)
    added, created = 0, False
    if not wanted.dry_run:
        recording = historical.Recording(settings, now, ACTOR)
        added, created = historical.add(database, terms, plan, recording, lambda part: progress("writing", part))
    newest = database.read(historical.newest_outcome, name)
    return {
        "status": "ok",
        "strategy": name,
        "strategy_created": created,
        "market": terms.market,
        "dry_run": wanted.dry_run,
        "timeframe": terms.timeframe,
        "horizon_candles": terms.horizon_candles,
        "stride": stride,
        "rows": len(plan),
        "added": added,
        "left_out": plan.left_out,
        "symbols": _by_symbol(candles, plan),
        "unknown_symbols": list(unknown),
        "training_window": _window(plan, newest, settings),
        "historical_samples": database.read(historical.count, name),
    }


def _source(settings: Settings) -> str:
    """The market that is asked for its past."""
    if settings.market in ("off", "replay"):
        raise InvalidInputError(
            f"QT_MARKET={settings.market} has no past to fetch. Name candle FILES, or set QT_MARKET to an exchange"
            " such as binance.",
            field="days",
            reason="no_history",
        )
    return settings.market


def _candles(settings: Settings, terms: Terms, wanted: WarmStartOptions, now: datetime, progress: Tell) -> Past:
    """Each symbol's closed candles, oldest first."""
    if wanted.files:
        progress("reading files", 0.0)
        files = FileMarket([str(path) for path in wanted.files], terms.timeframe, wanted.names)
        return Past({symbol: files.history(symbol, now, EVERY_CANDLE) for symbol in files.symbols})
    feed = _feed(replace(settings, timeframe=terms.timeframe, symbols=wanted.names or settings.symbols), now)
    try:
        return fetched(feed, timedelta(days=wanted.days or 1), terms, progress)
    finally:
        feed.close()


def _feed(settings: Settings, now: datetime) -> Feed:
    if settings.market == SIMULATED:
        return SimulatedMarket(settings.symbols, settings.timeframe, now=lambda: now)
    return ExchangeMarket(settings.market, settings.symbols, settings.timeframe, url=settings.exchange_url)


def fetched(
    feed: Feed, past: timedelta, terms: Terms, progress: Tell, sleep: Callable[[float], None] = time.sleep
) -> Past:
    """What the market has of its last days, and of the window before them, page by page from now backwards."""
    progress("connecting", 0.0)
    _patiently(feed.prepare, sleep)
    if feed.unknown_symbols and not feed.symbols:
        raise InvalidInputError(
            f"{feed.source} has none of {', '.join(feed.unknown_symbols)}. Correct QT_SYMBOLS or --symbols.",
            field="symbols",
            reason="symbols_unknown",
        )
    until = to_ms(feed.now())
    since = until - past // timedelta(milliseconds=1) - WINDOW * terms.timeframe_ms
    found = {}
    for number, symbol in enumerate(feed.symbols):
        pages: list[Candles] = []
        before = until
        while before > since:
            share = (number + (until - before) / (until - since)) / len(feed.symbols)
            progress(f"fetching {symbol}", share)
            page = _patiently(partial(feed.history, symbol, from_ms(before), PAGE), sleep)
            pages.append(page)
            before = int(page.open_time[0]) if len(page) else before - PAGE * terms.timeframe_ms
        found[symbol] = _joined(pages, terms.timeframe_ms, since)
    return Past(found, feed.unknown_symbols)


def _patiently(ask: Callable[[], Answer], sleep: Callable[[float], None]) -> Answer:
    """The answer; a market that is out of reach, or that asks for patience, is asked again a few times."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return ask()
        except FeedUnavailableError as error:
            if attempt == ATTEMPTS or error.retry_after_seconds > LONGEST_WAIT_SECONDS:
                raise
            sleep(max(error.retry_after_seconds, 1.0))
    raise AssertionError("unreachable")


def _joined(pages: list[Candles], length_ms: int, since: int) -> Candles:
    columns = {name: np.concatenate([getattr(page, name) for page in pages]) for name in COLUMNS}
    candles, _ = clean(columns, length_ms)
    return candles.rows(candles.open_time >= since)


def _by_symbol(candles: Mapping[str, Candles], plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "symbol": symbol,
            "candles": len(series),
            "rows": len(plan.places[symbol].ends),
            "first": iso(from_ms(plan.places[symbol].times[0])) if len(plan.places[symbol].ends) else None,
            "last": iso(from_ms(plan.places[symbol].times[-1])) if len(plan.places[symbol].ends) else None,
        }
        for symbol, series in candles.items()
    ]


def _window(plan: Plan, newest: datetime | None, settings: Settings) -> dict[str, Any] | None:
    """How many of the rows the next retraining would read: its window is counted back from the newest outcome."""
    if not len(plan):
        return None
    first, last = plan.span
    until = max(last, newest or last)
    since = until - timedelta(days=settings.ai_retrain_window_days)
    inside = sum(int((one.times >= to_ms(since)).sum()) for one in plan.places.values())
    return {
        "days": settings.ai_retrain_window_days,
        "since": iso(since),
        "rows_inside": inside,
        "days_for_all": (until - first) // timedelta(days=1) + 1,
    }


SYMBOL_COLUMNS = {"symbol": "symbol", "candles": "candles", "rows": "rows", "first": "from", "last": "to"}


def _show(told: Mapping[str, Any]) -> None:
    print_rows(told["symbols"], SYMBOL_COLUMNS, "There are no candles.")
    if told["unknown_symbols"]:
        print(f"{told['market']} has no {', '.join(told['unknown_symbols'])}; the others were taken.")
    left_out = {reason.replace("_", " "): count for reason, count in told["left_out"].items() if count}
    if left_out:
        print(f"Left out: {cell(left_out)}.")
    window = told["training_window"]
    if window and window["rows_inside"] < told["rows"]:
        print(
            f"{window['rows_inside']} of the {told['rows']} rows lie in the training window of {window['days']} days"
            f" before the newest outcome; for all of them set QT_AI_RETRAIN_WINDOW_DAYS={window['days_for_all']}."
        )
    name = told["strategy"]
    if told["dry_run"]:
        print(f"{told['rows']} historical samples would be added to {name}. Nothing was written.")
    else:
        print(f"{told['added']} historical samples added to {name}, which holds {told['historical_samples']} now.")
        print(f"Train on them: qt retrain --strategy {name}")
        print(f"Take them away again: qt warm-start --remove --strategy {name}")
