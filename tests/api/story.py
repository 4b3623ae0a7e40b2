"""One bot's day with the service, call by call: where the examples of the API's description come from.

    python -m tests.api.story

plays it against a new service and writes ``backend/api/examples.json``; ``test_openapi_examples.py`` plays it again and
holds the file to it. Its clock stands still unless the story moves it, so that two plays say the same.
"""

import json
import re
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from backend.database import Database
from tests.api import story_parts, story_refusals
from tests.api.conftest import ADMIN, open_client, settings_in

FILE = Path(__file__).resolve().parents[2] / "backend" / "api" / "examples.json"
START = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
DRAWN_IDS = re.compile(r"\b(run-|evt-)([0-9a-f]{20,32})\b")
REQUEST_ID = "5f0c1a8e9d7b4c3f8a6e2d1b0c9f8e7d"


@dataclass(frozen=True)
class Told:
    """One call and its answer; ``status`` is what the description promises for it."""

    operation: str
    name: str
    summary: str
    status: int
    body: Any
    answer: Any
    content_type: str


@dataclass
class Story:
    """The service it is told to, the clock it goes by, and what was said so far."""

    client: TestClient
    folder: Path
    now: datetime = START
    told: list[Told] = field(default_factory=list)

    def tell(
        self,
        operation: str,
        call: str,
        *,
        name: str,
        summary: str,
        body: Any = None,
        status: int = 200,
        keep: str = "",
        **headers: str,
    ) -> Any:
        """Make a call that becomes an example; the answer's body, of a text only the lines with ``keep``."""
        answer = self.send(call, body, **headers)
        assert answer.status_code == status, (operation, name, answer.status_code, answer.text)
        kind = answer.headers["content-type"].partition(";")[0]
        lines = "".join(line for line in answer.text.splitlines(keepends=True) if keep in line)
        content = answer.json() if kind.endswith("json") else lines
        self.told.append(Told(operation, name, summary, status, body, self.as_always(content), kind))
        return content

    def ask(self, call: str, body: Any = None) -> Any:
        """Make a call that only moves the story on."""
        answer = self.send(call, body)
        assert answer.status_code < 300, (call, answer.text)
        return answer.json()

    def send(self, call: str, body: Any = None, **headers: str) -> Any:
        """The raw answer to a call such as ``GET /ai/status``."""
        method, path = call.split(" ", 1)
        usual = {"x-admin-token": ADMIN["X-Admin-Token"], "x-request-id": REQUEST_ID}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"content": body} if isinstance(body, bytes) else {"json": body}
        kind = {"content-type": "application/json"} if isinstance(body, bytes) else {}
        return self.client.request(method, path, headers=usual | kind | named, **sent)

    def as_always(self, content: Any) -> Any:
        """The answer with this play's own folder and random ids written as those of any other play."""
        text = json.dumps(content).replace(f"{self.folder}/models", "ai_engine/models")
        return json.loads(DRAWN_IDS.sub(lambda found: found[1] + REQUEST_ID[: len(found[2])], text))

    @property
    def database(self) -> Database:
        """The service's own, for what no call can bring about."""
        found: Database = self.client.app.state.context.database  # type: ignore[attr-defined]
        return found

    def wait(self, seconds: float) -> None:
        """Move the clock."""
        self.now += timedelta(seconds=seconds)


def play(folder: Path) -> list[Told]:
    """The whole story against a new service that keeps everything in ``folder``."""
    story: Story | None = None

    def clock() -> datetime:
        return story.now if story else START

    with open_client(settings_in(folder), clock) as client:
        story = Story(client, folder)
        for part in (*story_parts.PARTS, *story_refusals.PARTS):
            part(story)
    return story.told


def examples_of(told: list[Told]) -> dict[str, Any]:
    """What was said, by operation and status; problems by their reason, for they say the same everywhere."""
    found: dict[str, Any] = {"requests": {}, "answers": {}, "problems": {}}
    for one in told:
        example = {"summary": one.summary, "value": one.answer}
        if one.content_type == "application/problem+json":
            found["problems"].setdefault(one.answer["reason"], example)
            continue
        answers = found["answers"].setdefault(one.operation, {}).setdefault(str(one.status), {})
        answers.setdefault(one.content_type, {})[one.name] = example
        if one.body is not None:
            asked = found["requests"].setdefault(one.operation, {})
            asked.setdefault(one.name, {"summary": one.summary, "value": one.body})
    return found


def main() -> None:
    """Play the story and keep what it said."""
    with tempfile.TemporaryDirectory() as folder:
        told = play(Path(folder))
    FILE.write_text(json.dumps(examples_of(told), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(told)} calls, {FILE.stat().st_size} bytes: {FILE}")


if __name__ == "__main__":
    main()
