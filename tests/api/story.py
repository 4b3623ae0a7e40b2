"""One bot's day with the service, call by call: where the examples of the API's description come from.

    python -m tests.api.story

plays it against a new service and writes ``backend/api/examples.json``; ``test_openapi_examples.py`` plays it again and
holds the file to it. Its clock stands still unless the story moves it, so that two plays say the same.
"""

import json
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from tests.api import story_parts
from tests.api.conftest import ADMIN, open_client, settings_in

FILE = Path(__file__).resolve().parents[2] / "backend" / "api" / "examples.json"
START = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
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
        self, operation: str, call: str, *, name: str, summary: str, body: Any = None, status: int = 200, **headers: str
    ) -> Any:
        """Make a call that becomes an example; the answer's body."""
        answer = self.send(call, body, **headers)
        assert answer.status_code == status, (operation, name, answer.status_code, answer.text)
        kind = answer.headers["content-type"].partition(";")[0]
        content = self.without_folder(answer.json() if kind.endswith("json") else answer.text)
        self.told.append(Told(operation, name, summary, status, body, content, kind))
        return content

    def ask(self, call: str, body: Any = None) -> Any:
        """Make a call that only moves the story on."""
        answer = self.send(call, body)
        assert answer.status_code < 300, (call, answer.text)
        return answer.json()

    def send(self, call: str, body: Any = None, **headers: str) -> Any:
        """The raw answer to a call such as ``GET /ai/status``."""
        method, path = call.split(" ", 1)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.request(method, path, json=body, headers={**ADMIN, "X-Request-ID": REQUEST_ID, **named})

    def without_folder(self, content: Any) -> Any:
        """The answer with this run's own folder written as the default one."""
        text = json.dumps(content).replace(f"{self.folder}/models", "ai_engine/models")
        return json.loads(text.replace(str(self.folder), "backend"))

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
        for part in story_parts.PARTS:
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
