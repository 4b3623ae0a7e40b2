"""A replay's summary as tables that a person can read."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ai_engine.candles import REASONS
from ai_engine.types import Action, TargetClass
from backend.clock import iso
from backend.market.files import FileReport
from backend.trading.replay import ReplaySummary
from backend.trading.summary import Figures, VersionFigures


def tables(summary: ReplaySummary, reports: Sequence[FileReport]) -> Iterator[Table | str]:
    """What was read, what was decided and what came of it, trade by trade figures, symbols, versions."""
    figures = summary.figures
    yield from map(_file, reports)
    yield _overview(summary)
    yield _decisions(figures)
    yield _sources(figures)
    yield _money(figures)
    yield _exits(figures)
    yield _symbols(figures)
    if figures.versions:
        yield _versions(figures)
        yield "An accuracy means nothing without its verdict: qt model VERSION shows the whole report."


def _file(report: FileReport) -> str:
    """One file's rows, and what is irregular about them."""
    counts = report.counts
    left_out = [f"{counts[reason]} {reason.replace('_', ' ')}" for reason in REASONS if counts.get(reason)]
    gaps = f"; {counts['gaps']} gaps, {counts['missing_candles']} candles missing" if counts.get("gaps") else ""
    rows = f"{report.path.name}: {counts['rows']} rows"
    return rows + (f"; left out: {', '.join(left_out)}" if left_out else "") + gaps


def _overview(summary: ReplaySummary) -> str:
    figures, taken = summary.figures, summary.rounds_taken
    nothing = " The strategy has taken every round of these files before." if not taken else ""
    span = f"{_time(figures.first_decision)} to {_time(figures.last_decision)}"
    runs = ", ".join(f"{count} {state}" for state, count in figures.retrainings.items()) or "none"
    return (
        f"\nStrategy {figures.strategy}: {taken} rounds in {summary.duration_seconds:.1f} s.{nothing}\n"
        f"Decisions from {span} (market time). Retrainings: {runs}."
    )


def _decisions(figures: Figures) -> Table:
    decisions = figures.decisions
    table = Table(title="Decisions and outcomes", title_justify="left", box=SIMPLE_HEAD, show_footer=True)
    table.add_column("action", footer="all")
    classes = [str(name) for name in TargetClass]
    table.add_column("decisions", justify="right", footer=str(decisions.total))
    for name in classes:
        total = sum(counts[name] for counts in decisions.by_class.values())
        table.add_column(name, justify="right", footer=str(total))
    table.add_column("not known yet", justify="right", footer=str(decisions.total - decisions.outcome_known))
    for action in map(str, Action):
        counts = [decisions.by_class[action][name] for name in classes]
        total = decisions.by_action[action]
        table.add_row(action, str(total), *map(str, counts), str(total - sum(counts)))
    return table


def _sources(figures: Figures) -> str:
    decisions = figures.decisions
    sources = ", ".join(f"{count} {source}" for source, count in decisions.by_label_source.items()) or "none"
    why = " (no candle within one of their horizon: a closed market or missing candles)" * bool(decisions.unobservable)
    return (
        f"Outcomes: {sources}; {decisions.pending} pending, {decisions.unobservable} unobservable{why}."
        f" Decided by the cold-start rule: {decisions.cold_start}; explored: {decisions.explored}.\n"
    )


def _money(figures: Figures) -> Table:
    trades = figures.trades
    table = Table(title="Trades (paper, in quote currency)", title_justify="left", box=SIMPLE_HEAD)
    for name in ("closed", "open", "won", "lost", "flat", "gross P&L", "fees", "net P&L"):
        table.add_column(name, justify="right")
    counts = (trades.closed, trades.open, trades.wins, trades.losses, trades.flat)
    money = (trades.gross_pnl, trades.fees, trades.net_pnl)
    table.add_row(*map(str, counts), *(f"{amount:.2f}" for amount in money))
    return table


def _exits(figures: Figures) -> str:
    trades = figures.trades
    reasons = ", ".join(f"{count} by {reason}" for reason, count in trades.by_exit_reason.items()) or "none"
    return f"Left: {reasons}. Orders cancelled: {trades.cancelled_orders}.\n"


def _symbols(figures: Figures) -> Table:
    table = Table(title="Symbols", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("symbol")
    for name in ("decisions", *map(str, Action), "trades", "won", "lost", "net P&L"):
        table.add_column(name, justify="right")
    for row in figures.symbols:
        counts = (row.decisions, *(row.by_action[str(action)] for action in Action), row.trades, row.wins, row.losses)
        table.add_row(row.symbol, *map(str, counts), f"{row.net_pnl:.2f}")
    return table


def _versions(figures: Figures) -> Table:
    table = Table(title="Versions", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("version")
    table.add_column("trained")
    for name in ("rows", "train acc.", "valid. acc."):
        table.add_column(name, justify="right")
    for name in ("verdict", "decided from", "to"):
        table.add_column(name)
    table.add_column("decisions", justify="right")
    for row in figures.versions:
        table.add_row(*_version(row))
    return table


def _version(row: VersionFigures) -> tuple[str, ...]:
    return (
        f"{row.version_id} (active)" if row.is_active else row.version_id,
        _time(row.trained_at),
        str(row.training_samples + row.validation_samples),
        _share(row.train_accuracy),
        _share(row.validation_accuracy),
        row.verdict + (" (recommended)" if row.recommended else ""),
        _time(row.first_decision),
        _time(row.last_decision),
        str(row.decisions),
    )


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _time(value: datetime | None) -> str:
    return "–" if value is None else iso(value).removesuffix(":00Z").replace("T", " ")
