"""The picture of docs/findings.md: every night's accuracy with its interval, beside that of the days after it."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from benchmarks.findings.tables import percent, with_interval

INK, PAPER, BACKGROUND, DIM, GRID = "#1f2937", "#ffffff", "#f8fafc", "#4b5563", "#d1d5db"
VERDICTS = {
    "no_evidence": ("#6b7280", "no evidence"),
    "insufficient_data": ("#c4b5fd", "insufficient data"),
    "evidence": ("#2563eb", "evidence"),
    "strong_evidence": ("#15803d", "strong evidence"),
    "suspected_leakage": ("#dc2626", "suspected leakage"),
    "degenerate": ("#000000", "degenerate"),
}
AFTER, PAYS, CONSTANT = "#ea580c", "#b91c1c", "#9ca3af"
LEFT, TOP, WIDTH, HEIGHT, GAP_X, GAP_Y = 58, 168, 480, 138, 66, 76
LOW, HIGH = 0.40, 0.70
FONT = "ui-sans-serif, system-ui, 'DejaVu Sans', Helvetica, Arial, sans-serif"


def drawn(told: dict[str, Any]) -> str:
    """One row a set: what was found on the left, the same candles with every move a coin on the right."""
    names = list(dict.fromkeys(one["name"] for one in told["sets"]))
    width, height = 2 * LEFT + 2 * WIDTH + GAP_X - 20, TOP + len(names) * (HEIGHT + GAP_Y) + 8
    parts = [*_heading(), *_legend(told)]
    for one in told["sets"]:
        if one["coin"] in (None, 1):
            x = LEFT + (one["coin"] is not None) * (WIDTH + GAP_X)
            parts += _panel(one, x, TOP + names.index(one["name"]) * (HEIGHT + GAP_Y))
    title = "Walk-forward accuracy of every night beside the accuracy of the days after it"
    return (
        f'<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{title}">\n'
        f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _heading() -> Iterator[str]:
    yield label(LEFT, 34, "What each night said, and what the days after it showed", 19)
    yield label(LEFT, TOP - 50, "The candles as they were", 15)
    yield label(LEFT + WIDTH + GAP_X, TOP - 50, "Coins: the same candles without any signal", 15)


def _legend(told: dict[str, Any]) -> Iterator[str]:
    seen = {word for one in told["sets"] for word in one["verdicts"]}
    x, y = LEFT, 62
    for word, (colour, name) in VERDICTS.items():
        if word in seen:
            yield mark(x + 6, y - 5, colour, (y - 13, y + 3))
            yield label(x + 18, y, f"walk-forward with 95 % interval: {name}", 13, DIM)
            x += 68 + int(6.4 * (33 + len(name)))
    x, y = LEFT, 86
    yield diamond(x + 6, y - 5)
    yield label(x + 18, y, "the days after, unseen, 95 % interval", 13, DIM)
    yield f'<path d="M{x + 282} {y - 5} h22" stroke="{CONSTANT}" stroke-width="3"/>'
    yield label(x + 310, y, "always the commoner direction", 13, DIM)
    yield f'<path d="M{x + 522} {y - 5} h26" stroke="{PAYS}" stroke-width="1.5" stroke-dasharray="6 4"/>'
    yield label(x + 554, y, "accuracy that pays the costs (at the edge where it is higher)", 13, DIM)


def _panel(one: dict[str, Any], x: int, y: int) -> Iterator[str]:
    fresh = one["fresh"]
    yield label(x, y - 24, one["title"], 13)
    said = f"all days after: {with_interval(fresh)}; paying the costs needs {percent(fresh['break_even'])}"
    yield label(x, y - 8, said, 12, DIM)
    yield f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" fill="{PAPER}" stroke="{GRID}"/>'
    for share in (0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7):
        colour, thickness = (INK, 1) if share == 0.5 else (GRID, 0.5)
        at = place(share, y)
        yield f'<path d="M{x} {at:.1f} h{WIDTH}" stroke="{colour}" stroke-width="{thickness}"/>'
        if round(share * 100) % 10 == 0:
            yield label(x - 6, at + 4, f"{share:.0%}", 11, DIM, anchor="end")
    yield from _nights(one["each_night"], x, y)


def _nights(nights: list[dict[str, Any]], x: int, y: int) -> Iterator[str]:
    step = WIDTH / (len(nights) + 0.4)
    pays = []
    for number, night in enumerate(nights):
        at = x + step * (number + 0.55)
        if night["fresh_baseline"] is not None:
            height, half = place(night["baseline"], y), min(step * 0.42, 16)
            yield f'<path d="M{at - half:.1f} {height:.1f} h{2 * half:.1f}" stroke="{CONSTANT}" stroke-width="3"/>'
        bounds = [place(bound, y) for bound in night["ci95"] or (night["accuracy"],) * 2]
        yield mark(at - step * 0.1, place(night["accuracy"], y), VERDICTS[night["verdict"]][0], (bounds[1], bounds[0]))
        if night["fresh_ci95"] is not None:
            low, high = (place(bound, y) for bound in night["fresh_ci95"])
            yield f'<path d="M{at + step * 0.2:.1f} {low:.1f} V{high:.1f}" stroke="{AFTER}" opacity="0.45"/>'
        yield diamond(at + step * 0.2, place(night["fresh_accuracy"], y))
        pays.append(f"{at:.1f} {place(night['break_even'], y):.1f}")
    yield f'<path d="M{" L".join(pays)}" fill="none" stroke="{PAYS}" stroke-width="1.5" stroke-dasharray="6 4"/>'
    for number in sorted({0, len(nights) // 2, len(nights) - 1}):
        day = datetime.fromisoformat(nights[number]["at"])
        yield label(x + step * (number + 0.55), y + HEIGHT + 15, f"{day:%Y-%m-%d}", 11, DIM, anchor="middle")


def place(share: float | None, y: int) -> float:
    """The height of an accuracy, held within the panel."""
    inside = min(max(HIGH if share is None else share, LOW), HIGH)
    return y + HEIGHT * (HIGH - inside) / (HIGH - LOW)


def mark(x: float, y: float, colour: str, bounds: tuple[float, float]) -> str:
    """A night: a point and its interval."""
    return (
        f'<path d="M{x:.1f} {bounds[0]:.1f} V{bounds[1]:.1f}" stroke="{colour}" stroke-width="2" opacity="0.55"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6" fill="{colour}"/>'
    )


def diamond(x: float, y: float) -> str:
    """What the days after a night showed."""
    return (
        f'<path d="M{x:.1f} {y - 5:.1f} l4.5 5 l-4.5 5 l-4.5 -5 z" fill="{PAPER}" stroke="{AFTER}" stroke-width="1.8"/>'
    )


def label(x: float, y: float, text: str, size: int, fill: str = INK, anchor: str = "start") -> str:
    """A line of text; what is written in ink is a heading."""
    weight = 600 if fill == INK else 400
    style = f'font-family="{FONT}" font-size="{size}" font-weight="{weight}" fill="{fill}" text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{text}</text>'
