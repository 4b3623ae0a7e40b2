"""Events for programs: signed JSON, posted once an event, redirects refused."""

import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import SecretStr

from backend.operations.delivery_types import Outcome, Parcel, Result

TIMEOUT_SECONDS = 10.0
LONGEST_RETRY_AFTER = timedelta(hours=1)
WORTH_ANOTHER_ATTEMPT = frozenset({408, 429})


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """``sha256=`` and the hex HMAC of ``timestamp + "." + body``.

    >>> signature("key", "1700000000", b"{}")[:23]
    'sha256=b72326cae3ec8d71'
    """
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Webhook:
    """One address for programs. What it answers beside the status is not read."""

    url: str
    secret: SecretStr
    timeout_seconds: float = TIMEOUT_SECONDS

    def __call__(self, parcels: Sequence[Parcel], now: datetime) -> Outcome:
        """Post the event of the one parcel there is."""
        import httpx2

        (parcel,) = parcels
        body = json.dumps(parcel.event, ensure_ascii=False, separators=(",", ":")).encode()
        headers = self._headers(parcel, str(int(now.timestamp())), body)
        try:
            with (
                httpx2.Client(timeout=self.timeout_seconds, follow_redirects=False) as client,
                client.stream("POST", self.url, content=body, headers=headers) as answer,
            ):
                return judged(answer.status_code, answer.headers.get("retry-after"))
        except httpx2.ConnectTimeout:
            return Outcome(Result.AGAIN, f"No connection within {self.timeout_seconds:g} s.", pause=True)
        except httpx2.TimeoutException:
            return Outcome(Result.UNCERTAIN, f"No answer within {self.timeout_seconds:g} s.", pause=True)
        except httpx2.ConnectError as error:
            return Outcome(Result.AGAIN, f"No connection: {self._without_address(str(error))}.", pause=True)
        except httpx2.InvalidURL:
            return Outcome(Result.REFUSED, "QT_WEBHOOK_URL is not an address that can be posted to.")
        except httpx2.HTTPError as error:
            return Outcome(Result.UNCERTAIN, f"The connection broke ({type(error).__name__}).", pause=True)

    def _headers(self, parcel: Parcel, timestamp: str, body: bytes) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "User-Agent": "quantum-trader",
            "X-QT-Event-Id": parcel.event["event_id"],
            "X-QT-Timestamp": timestamp,
            "X-QT-Signature": signature(self.secret.get_secret_value(), timestamp, body),
        }

    def _without_address(self, text: str) -> str:
        hidden = {self.url, *re.split(r"[/?&#]", self.url.partition("//")[2])}
        for part in sorted(hidden, key=len, reverse=True):
            text = text.replace(part, "***") if part else text
        return text.rstrip(".")


def judged(status: int, retry_after: str | None = None) -> Outcome:
    """What an answer's status means: 2xx arrived; 408, 429 and 5xx are worth another attempt; the rest is a refusal."""
    if 200 <= status < 300:
        return Outcome(Result.SENT)
    if 300 <= status < 400:
        return Outcome(Result.REFUSED, f"It answered {status}, a redirect. Set QT_WEBHOOK_URL to the final address.")
    if status >= 500 or status in WORTH_ANOTHER_ATTEMPT:
        return Outcome(Result.AGAIN, f"It answered {status}.", _waiting_time(retry_after), pause=status == 429)
    return Outcome(Result.REFUSED, f"It answered {status}, which another attempt would not change.")


def _waiting_time(retry_after: str | None) -> timedelta | None:
    if retry_after is None or not re.fullmatch(r"[0-9]{1,9}", retry_after.strip()):
        return None
    return min(timedelta(seconds=int(retry_after)), LONGEST_RETRY_AFTER)
