"""Structured logs on stderr: text for people or JSON for programs, with the request id and without secrets."""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, TextIO

import structlog
from structlog.typing import Processor

HIDDEN = "***"
HANDLER_NAME = "quantum-trader"
REPEATS = frozenset({"message", "color_message"})
QUIET_LOGGERS = ("uvicorn.access", "apscheduler", "httpx2", "httpcore2")
ROUNDS_LOGGER = "backend.trading.round"
SECONDS_BETWEEN_ROUNDS = 30.0


class Redactor:
    """Replaces every known secret in whatever is about to leave the process."""

    def __init__(self, secrets: Iterable[str | None]) -> None:
        self._secrets = tuple(sorted({secret for secret in secrets if secret}, key=len, reverse=True))

    def text(self, text: str) -> str:
        """The text with each secret replaced by stars, and half surrogate pairs by question marks."""
        if not text.isascii():
            text = text.encode("utf-8", "replace").decode("utf-8")
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text

    def value(self, value: Any) -> Any:
        """The value with each secret replaced, in containers too; other objects are turned into text first."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(item) for item in value]
        return self.text(str(value))

    def __call__(self, _logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """The processor of the log chain."""
        return {key: item if key.startswith("_") else self.value(item) for key, item in event.items()}


class FewerRounds(logging.Filter):
    """Lets a person at a terminal see one line of the trader's rounds in half a minute, and how many it stands for.

    A market that catches up takes twenty rounds a second, and everything else would scroll away. Files, pipes and the
    journal get every line.
    """

    def __init__(self, watched: Callable[[], bool], timer: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._watched, self._timer = watched, timer
        self._due = timer()
        self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written; a round's line that is tells how many before it were not."""
        if record.name != ROUNDS_LOGGER or record.levelno > logging.INFO or not self._watched():
            return True
        now = self._timer()
        if now < self._due:
            self._left_out += 1
            return False
        told, self._left_out, self._due = self._left_out, 0, now + SECONDS_BETWEEN_ROUNDS
        if told:
            record.msg, record.args = f"{record.getMessage()} ({told:,} rounds before it not shown)", ()
        return True


def _at_a_terminal() -> bool:
    return sys.stderr.isatty()


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to whatever ``sys.stderr`` is now, so that a replaced stream is followed."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.set_name(HANDLER_NAME)

    @property
    def stream(self) -> TextIO:
        """The present standard error stream."""
        return sys.stderr

    @stream.setter
    def stream(self, _stream: TextIO) -> None:
        raise AttributeError("the log always goes to sys.stderr")


def configure_logging(log_format: str, redactor: Redactor, level: int = logging.INFO) -> None:
    """Send structlog's and the standard library's records through one chain; a second call replaces the first."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = _StderrHandler()
    if log_format == "text":
        handler.addFilter(FewerRounds(_at_a_terminal))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[_without_repeats, *_rendering(log_format, redactor)],
        )
    )
    root = logging.getLogger()
    root.handlers = [kept for kept in root.handlers if kept.get_name() != HANDLER_NAME]
    root.addHandler(handler)
    root.setLevel(level)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)


def _without_repeats(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop what other libraries add to a record beside its message: the message again."""
    return {key: item for key, item in event.items() if key not in REPEATS}


def _rendering(log_format: str, redactor: Redactor) -> list[Processor]:
    meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if log_format == "json":
        return [meta, structlog.processors.format_exc_info, redactor, structlog.processors.JSONRenderer()]
    return [
        meta,
        structlog.processors.format_exc_info,
        redactor,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
