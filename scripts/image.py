"""What deploy/Dockerfile says, read without a Docker engine: its stages, their steps, and which files reach it."""

import fnmatch
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
IGNORE = ROOT / ".dockerignore"


@dataclass(frozen=True)
class Step:
    """One instruction and what follows it."""

    instruction: str
    rest: str

    @property
    def words(self) -> list[str]:
        """The words of its exec form, or those between blanks."""
        return list(json.loads(self.rest)) if self.rest.startswith("[") else self.rest.split()


def steps(text: str) -> list[Step]:
    """The instructions in order: comments left out, continued lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [Step(*(re.split(r"\s+", line, maxsplit=1))) for line in joined.splitlines()]


def stages(text: str) -> list[list[Step]]:
    """The steps of each stage, each beginning with FROM."""
    found: list[list[Step]] = []
    for step in steps(text):
        if step.instruction == "FROM":
            found.append([])
        found[-1].append(step)
    return found


def environment(stage: Iterable[Step], before: str) -> dict[str, str]:
    """What ENV sets; ``$PATH`` in it is ``before``."""
    pairs = [word.split("=", 1) for step in stage if step.instruction == "ENV" for word in step.words]
    return {name: value.replace("$PATH", before) for name, value in pairs}


def sent(paths: Iterable[str], ignore: str) -> Iterator[str]:
    """Those of the paths that .dockerignore lets into the build: the last pattern that fits decides."""
    rules = [line.strip() for line in ignore.splitlines() if line.strip() and not line.startswith("#")]
    for path in paths:
        fitting = [rule for rule in rules if _fits(path, rule.removeprefix("!"))]
        if not fitting or fitting[-1].startswith("!"):
            yield path


def _fits(path: str, pattern: str) -> bool:
    parts = path.split("/")
    heads = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    if pattern.startswith("**/"):
        return any(fnmatch.fnmatchcase(part, pattern.removeprefix("**/")) for part in parts)
    depth = pattern.count("/")
    return any(head.count("/") == depth and fnmatch.fnmatchcase(head, pattern) for head in heads)
