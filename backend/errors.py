"""Expected failures: one class a kind, each with its HTTP status, its stable reason and what to do next."""

from typing import Any


class QuantumTraderError(Exception):
    """Base of every expected failure.

    ``message`` says what was wanted, what was found and what to do next. ``extra`` holds what a program needs
    to go on; it stands in the problem document beside ``reason``.
    """

    status_code = 400
    reason = "bad_request"

    def __init__(self, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.message = message
        self.extra = extra


class InvalidInputError(QuantumTraderError):
    """A well-formed request whose content cannot be accepted; names the field and the remedy."""

    status_code = 422
    reason = "invalid_input"

    def __init__(self, message: str, *, field: str | None = None, reason: str | None = None, **extra: Any) -> None:
        super().__init__(message, **({"field": field} if field else {}), **extra)
        if reason:
            self.reason = reason


class NotFoundError(QuantumTraderError):
    """What the request names does not exist."""

    status_code = 404
    reason = "not_found"

    def __init__(self, message: str, *, reason: str | None = None, **extra: Any) -> None:
        super().__init__(message, **extra)
        if reason:
            self.reason = reason


class ConflictError(QuantumTraderError):
    """The request contradicts what is stored, or what is going on."""

    status_code = 409
    reason = "conflict"

    def __init__(self, message: str, *, reason: str, **extra: Any) -> None:
        super().__init__(message, **extra)
        self.reason = reason


class UnavailableError(QuantumTraderError):
    """The service cannot do this now."""

    status_code = 503
    reason = "unavailable"

    def __init__(self, message: str, *, reason: str, **extra: Any) -> None:
        super().__init__(message, **extra)
        self.reason = reason
