"""Candles of several symbols, as they come, put together into rounds in time order. All times in milliseconds.

A round waits for every symbol's candle, but for none for ever: not where a later candle proves a gap, not where the
exchange answered without it a moment after it was due, and not where the symbol's requests have failed for long.
"""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from backend.market.feed import Bar

LONGEST_GRACE_MS = 10_000
SHORTEST_PATIENCE_MS, LONGEST_PATIENCE_MS = 3_000, 30_000
REMEMBERED = 1_000
"""How many candles of a symbol are remembered, so that what was given before is known again."""
FEWEST_FAILURES = 3
"""So often a symbol is asked in vain before rounds are taken without it: one cut answer is nothing."""

Known = dict[str, dict[int, Bar]]


@dataclass(frozen=True, slots=True)
class Asked:
    """How a symbol's requests fare: when it was last answered whole, or since when they fail and how often."""

    answered_at: int | None = None
    failing_since: int | None = None
    failed_at: int = 0
    failures: int = 0


class RoundBook:
    """The rounds after one time: what has come for each, and what came too late."""

    def __init__(self, symbols: Iterable[str], length: int, last: int, known: Known) -> None:
        self.last = last
        self._symbols = tuple(sorted(symbols))
        self._length = length
        self._grace = min(length // 4, LONGEST_GRACE_MS)
        self._patience = max(SHORTEST_PATIENCE_MS, min(length // 2, LONGEST_PATIENCE_MS))
        self._known = known
        self._pending: dict[int, dict[str, Bar]] = {}
        self._closes: list[int] = []
        self._newest = dict.fromkeys(self._symbols, last)
        self._late: Known = {}

    def add(self, symbol: str, closed: Mapping[int, Bar]) -> list[int]:
        """Take a symbol's closed candles by open time; the open times of those that contradict what came before."""
        known = self._known.setdefault(symbol, {})
        contradicting = []
        for opened, bar in sorted(closed.items()):
            close = opened + self._length
            first = self._pending.get(close, {}).get(symbol) if close > self.last else known.get(opened)
            if first is not None:
                contradicting += [opened] if first != bar else []
            elif close > self.last:
                self._wait(close)[symbol] = bar
            else:
                known[opened] = bar
                self._late.setdefault(symbol, {})[opened] = bar
            self._newest[symbol] = max(self._newest[symbol], close)
        return contradicting

    def take(self, now: int, asked: Mapping[str, Asked], until: int | None = None) -> tuple[int, dict[str, Bar]] | None:
        """The next round's close time and candles, if it is complete or need not be waited for any longer."""
        if not self._closes or (until is not None and self._closes[0] > until):
            return None
        close = self._closes[0]
        came = self._pending[close]
        if not all(symbol in came or self._given_up(symbol, close, now, asked) for symbol in self._symbols):
            return None
        heapq.heappop(self._closes)
        del self._pending[close]
        self.last = close
        for symbol, bar in came.items():
            known = self._known.setdefault(symbol, {})
            known[close - self._length] = bar
            _forget(known)
        return close, dict(sorted(came.items()))

    def waiting(self, now: int, asked: Mapping[str, Asked], until: int | None = None) -> int | None:
        """For how long at most the next round goes on waiting for symbols that fail; None where none waits."""
        if not self._closes or (until is not None and self._closes[0] > until):
            return None
        failing = [one.failing_since for one in asked.values() if one.failing_since is not None]
        return max(max(failing, default=now - self._patience) + self._patience - now, 0)

    def late(self) -> Known:
        """The candles at or before the last round that came after it, each given once."""
        found, self._late = self._late, {}
        return found

    def _wait(self, close: int) -> dict[str, Bar]:
        if close not in self._pending:
            heapq.heappush(self._closes, close)
        return self._pending.setdefault(close, {})

    def _given_up(self, symbol: str, close: int, now: int, asked: Mapping[str, Asked]) -> bool:
        if self._newest[symbol] > close:
            return True
        fares = asked.get(symbol, Asked())
        if fares.failing_since is not None:
            # However long it has failed, each round gives it one more chance, or a moment.
            tried = max(fares.failed_at, now - self._grace) >= close
            patient = fares.failures >= FEWEST_FAILURES and now >= fares.failing_since + self._patience
            return tried and patient
        return fares.answered_at is not None and fares.answered_at >= close + self._grace


def _forget(known: dict[int, Bar]) -> None:
    """Keep the newest candles only."""
    if len(known) > 2 * REMEMBERED:
        for opened in sorted(known)[:-REMEMBERED]:
            del known[opened]
