"""What an exchange answers, before any of it is believed: candles checked as a whole, and refusals put into words."""

import math
import re
import unicodedata
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import numpy as np

from ai_engine.candles import Candles, resample
from backend.clock import to_ms
from backend.market.feed import Bar

LONGEST_WAIT_SECONDS = 86_400.0
WORDS = 160
_ADDRESS = re.compile(r"\b(?:GET |POST )?https?://\S+")
_TITLE = re.compile(r"<title[^>]*>([^<]*)</title>", re.IGNORECASE)
_MARKUP = re.compile(r"<[^>]*>")


class BadAnswerError(ValueError):
    """An answer that cannot be true; ``rows`` are the open times of rows that are wrong by themselves alone."""

    def __init__(self, fault: str, rows: Collection[int] = ()) -> None:
        super().__init__(fault)
        self.rows = frozenset(rows)


def bars(rows: object, length_ms: int, latest_ms: int, left_out: Collection[int] = ()) -> dict[int, Bar]:
    """The candles of one answer by open time, in order: all of them, or none where one cannot be true.

    Parameters
    ----------
    rows
        Lists of open time, open, high, low, close and volume in any order. Of several with one time the first stays.
    length_ms
        Duration of a candle; every open time is a multiple of it.
    latest_ms
        The exchange's time at the latest: no candle opens after it.
    left_out
        Open times whose rows were found wrong again and again, and are gaps from now on.

    Raises
    ------
    BadAnswerError
        If a row is no candle.
    """
    if not isinstance(rows, list):
        raise BadAnswerError(f"candles were asked for, and {type(rows).__name__} came")
    found: dict[int, Bar] = {}
    wrong: dict[int, str] = {}
    for row in rows:
        opened = _open_time(row, length_ms, latest_ms)
        if opened in left_out:
            continue
        values = row[1:6]
        if fault := _fault(values):
            wrong[opened] = f"the candle of {opened} has {fault}"
        else:
            found.setdefault(opened, (values[0], values[1], values[2], values[3], values[4]))
    if wrong:
        raise BadAnswerError(next(iter(wrong.values())), wrong)
    return {opened: _floats(found[opened]) for opened in sorted(found)}


def can_hold_candles(content: object) -> bool:
    """Whether JSON has the form of candles: a list of rows, or an object that holds lists.

    Of rows that are no rows ccxt makes candles without a time, and then drops them as if they were too old.

    >>> [can_hold_candles(some) for some in ([], [[1, 2]], {"result": {"list": []}}, {"t": [1], "o": [2.0]})]
    [True, True, True, True]
    >>> [can_hold_candles(some) for some in (None, "soon", [None], [[None, 1]], {"code": 0})]
    [False, False, False, False, False]
    """
    if isinstance(content, list):
        return all(isinstance(row, dict) or (isinstance(row, list) and row[:1] != [None]) for row in content)
    if isinstance(content, dict):
        inner = [part for part in content.values() if isinstance(part, list | dict)]
        return any(_is_column(part) or can_hold_candles(part) for part in inner)
    return False


def _is_column(part: object) -> bool:
    return isinstance(part, list) and all(_is_number(value) or isinstance(value, str) for value in part)


def _floats(bar: Bar) -> Bar:
    opened, high, low, close, volume = map(float, bar)
    return opened, high, low, close, volume


def _open_time(row: object, length_ms: int, latest_ms: int) -> int:
    if not isinstance(row, list) or len(row) < 6:
        raise BadAnswerError("a row is not a candle of six values")
    opened = row[0]
    if not _is_number(opened) or opened != int(opened):
        raise BadAnswerError(f"a candle's open time is {opened!r}")
    if opened % length_ms:
        raise BadAnswerError(f"the candle of {opened} does not open at a whole multiple of its {length_ms} ms in UTC")
    if opened > latest_ms:
        raise BadAnswerError(f"the candle of {opened} opens in the future")
    return int(opened)


def _fault(values: list[object]) -> str | None:
    if not all(_is_number(value) for value in values):
        return f"values that are no numbers: {values}"
    opened, high, low, close, volume = (float(value) for value in values if isinstance(value, int | float))
    if min(opened, high, low, close) <= 0:
        return "a price that is not positive"
    if high < max(opened, close, low) or low > min(opened, close):
        return "a high or low that contradicts its other prices"
    return "a negative volume" if volume < 0 else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def gathered(fine: Mapping[int, Bar], fine_ms: int, length_ms: int) -> dict[int, Bar]:
    """Coarse candles of fine ones; of a coarse one that is not over as far as the fine ones tell, nothing."""
    if fine_ms == length_ms or not fine:
        return dict(fine)
    return as_bars(resample(as_candles(fine, fine_ms), length_ms))


def as_candles(found: Mapping[int, Bar], length_ms: int) -> Candles:
    """Bars by open time as columns."""
    times = sorted(found)
    table = np.array([found[opened] for opened in times], dtype=np.float64).reshape(-1, 5)
    opened, high, low, close, volume = table.T
    return Candles(np.array(times, dtype=np.int64), opened, high, low, close, volume, length_ms)


def as_bars(candles: Candles) -> dict[int, Bar]:
    """Columns as bars by open time."""
    columns = (candles.open, candles.high, candles.low, candles.close, candles.volume)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return dict(zip(candles.open_time.tolist(), rows, strict=True))


def date_ms(headers: Mapping[str, str]) -> int | None:
    """The time that an answer was sent by its Date header, whole seconds; None where it tells none."""
    moment = _http_date(_header(headers, "date"))
    return None if moment is None else to_ms(moment)


def retry_after_seconds(headers: Mapping[str, str], their_now: datetime) -> float | None:
    """How long the exchange asks to be left alone, bounded; None where it does not say."""
    told = _header(headers, "retry-after").strip()
    if re.fullmatch(r"\d+(\.\d+)?", told):
        seconds = float(told)
    elif (moment := _http_date(told)) is not None:
        seconds = (moment - their_now).total_seconds()
    else:
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)


def _header(headers: Mapping[str, str], wanted: str) -> str:
    return next((value for name, value in headers.items() if name.lower() == wanted), "")


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def in_words(exchange_id: str, error: BaseException) -> str:
    """What went wrong, as short as it can be said: no address, no page's markup, nothing that steers a terminal.

    >>> in_words("binance", ValueError("binance GET http://x/y?z=1 503 Service Unavailable <html><b>Sorry</b></html>"))
    '503 Service Unavailable Sorry'
    """
    causes = [error, *([error.__cause__] if error.__cause__ else [])]
    told = (_plain(str(one)).removeprefix(exchange_id) for one in causes)
    texts = (_MARKUP.sub(" ", _shortened(_ADDRESS.sub(" ", text))) for text in told)
    words = next((text for text in (" ".join(text.split()) for text in texts) if text), type(error).__name__)
    return words if len(words) <= WORDS else words[: WORDS - 1] + "…"


def _plain(text: str) -> str:
    """The text without control and format characters, which only pretend; white space stays."""
    return "".join(letter for letter in text if letter.isspace() or unicodedata.category(letter) not in ("Cc", "Cf"))


def _shortened(text: str) -> str:
    """The text with a page of HTML replaced by its title."""
    title = _TITLE.search(text)
    return f"{text[: text.find('<')]} {title[1]}" if title else text
