"""The manuals as a reader meets them: pages, headings, links, code, tables, and what is marked for a test."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from backend.settings import ROOT

FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[\w-]*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
HEADING = re.compile(r"^(#{1,6}) (.+?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """One manual."""

    name: str
    text: str

    @property
    def prose(self) -> str:
        """The text without its fenced code and comments."""
        return COMMENT.sub("", FENCE.sub("", self.text))

    @property
    def anchors(self) -> frozenset[str]:
        """What a link may point to, as GitHub makes it of the headings."""
        found: dict[str, int] = {}
        anchors = set()
        for _, title in HEADING.findall(FENCE.sub("", self.text)):
            words = re.sub(r"[^\w\- ]", "", LINK.sub(r"\1", title).lower()).replace(" ", "-")
            again = found.get(words, 0)
            found[words] = again + 1
            anchors.add(f"{words}-{again}" if again else words)
        return frozenset(anchors)

    @property
    def links(self) -> list[str]:
        """Where its links and pictures lead."""
        return LINK.findall(SPAN.sub("", self.prose))

    @property
    def fences(self) -> list[tuple[str, str]]:
        """Its fenced code: language, and text without the indentation of the list it stands in."""
        return [(match["language"], _without_indent(match)) for match in FENCE.finditer(self.text)]

    @property
    def code(self) -> list[str]:
        """Every line of fenced code, and every code span."""
        lines = [line for _, body in self.fences for line in body.replace("\\\n", " ").splitlines()]
        return [*lines, *SPAN.findall(self.prose)]

    def marked(self, mark: str) -> list[str]:
        """The fenced code that stands under ``<!-- test: MARK -->``."""
        place = re.compile(rf"^ *<!-- test: {re.escape(mark)} -->\n", re.MULTILINE)
        found = [FENCE.match(self.text, match.end()) for match in place.finditer(self.text)]
        assert all(found), f"{self.name}: a mark {mark!r} with no code below it"
        return [_without_indent(match) for match in found if match]

    def table(self, mark: str) -> list[list[str]]:
        """The rows, without the heading, of the table under ``<!-- MARK -->``."""
        _, found, below = self.text.partition(f"<!-- {mark} -->\n")
        assert found, f"{self.name} has no table marked {mark!r}"
        lines = list(_rows(below))
        return lines[2:]


def _without_indent(match: re.Match[str]) -> str:
    indent = match["indent"]
    return "".join(line.removeprefix(indent) for line in match["body"].splitlines(keepends=True))


def _rows(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


@cache
def page(name: str) -> Page:
    """The manual of that name."""
    return Page(name, (ROOT / name).read_text(encoding="utf-8"))


def names() -> list[str]:
    """Every manual; the records of decisions are kept as they were written, and are no manual."""
    top = [path.name for path in ROOT.glob("*.md")]
    return sorted([*top, *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])


def target_of(origin: str, link: str) -> tuple[Path, str]:
    """The file that a relative link of ``origin`` leads to, and its anchor."""
    file, _, anchor = link.partition("#")
    return ((ROOT / origin).parent / file).resolve() if file else ROOT / origin, anchor
