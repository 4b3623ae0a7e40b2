"""Structured logs on stderr: text for people or JSON for programs, with the request id and without secrets."""

import logging
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, TextIO

import structlog
from structlog.typing import Processor

HIDDEN = "***"
HANDLER_NAME = "quantum-trader"
REPEATS = frozenset({"message", "color_message"})
QUIET_LOGGERS = ("uvicorn.access", "apscheduler", "httpx2", "httpcore2")


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
