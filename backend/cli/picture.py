"""An accuracy beside what it has to beat, drawn in text: whether an interval clears a mark is seen, not computed."""

from collections.abc import Mapping

WIDTH = 60
MARGIN = 0.02
COIN = 0.5


def picture(accuracy: float | None, interval: list[float] | None, marks: Mapping[str, float | None]) -> list[str]:
    """Return a scale, the interval on it and a legend; nothing where there is no interval to draw.

    Parameters
    ----------
    accuracy, interval
        Shares from 0 to 1; ``interval`` is [low, high].
    marks
        What to draw beside them, by name: each is shown by its first letter, at its value; None is left out.
    """
    known = {"coin": COIN} | {name: value for name, value in marks.items() if value is not None}
    if accuracy is None or interval is None:
        return []
    values = [accuracy, *interval, *known.values()]
    least, most = max(min(values) - MARGIN, 0.0), min(max(values) + MARGIN, 1.0)

    def place(value: float) -> int:
        return round((value - least) / (most - least) * (WIDTH - 1))

    line = [" "] * WIDTH
    low, high = place(interval[0]), place(interval[1])
    line[low : high + 1] = "=" * (high + 1 - low)
    line[low], line[high] = "[", "]"
    line[place(accuracy)] = "o"
    under = [" "] * WIDTH
    for name, value in known.items():
        at = place(value)
        under[at] = name[0] if under[at] == " " else "*"
    legend = ", ".join(f"{name[0]} {name} {value:.1%}" for name, value in known.items())
    ends = f"{least:.0%}"
    return [
        f"{ends}{f'{most:.0%}':>{WIDTH - len(ends)}}",
        "".join(line).rstrip(),
        "".join(under).rstrip(),
        f"o accuracy, [=] where it lies, {legend}",
    ]
