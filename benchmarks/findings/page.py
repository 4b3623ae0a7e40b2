"""Make the tables, the figures' sentences and the picture of docs/findings.md from docs/findings.json.

    .venv/bin/python -m benchmarks.findings.page

The figures come from ``python -m benchmarks.findings --json docs/findings.json``. What stands under a mark in the page
is written anew, the rest is a person's; a test holds that nothing was left behind.
"""

import json
from pathlib import Path

from benchmarks.findings.picture import drawn
from benchmarks.findings.tables import tables

DOCS = Path(__file__).resolve().parents[2] / "docs"
FIGURES, PAGE, PICTURE = DOCS / "findings.json", DOCS / "findings.md", DOCS / "images" / "findings.svg"


def main() -> None:
    """Write the picture, and the tables into the page."""
    told = json.loads(FIGURES.read_text(encoding="utf-8"))
    PICTURE.write_text(drawn(told), encoding="utf-8")
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), tables(told)), encoding="utf-8")
    print("Made the tables of docs/findings.md and docs/images/findings.svg; its other prose is yours to look over.")


def filled(page: str, wanted: dict[str, str]) -> str:
    """The page with each table under its mark ``<!-- findings: NAME -->``, up to the next empty line."""
    for name, table in wanted.items():
        mark = f"<!-- findings: {name} -->\n"
        before, found, after = page.partition(mark)
        if not found:
            raise SystemExit(f"{PAGE.name} has no mark {mark.strip()}")
        page = before + mark + table + "\n" + after[after.index("\n\n") :].removeprefix("\n")
    return page


if __name__ == "__main__":
    main()
