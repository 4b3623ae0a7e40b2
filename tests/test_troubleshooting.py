"""The troubleshooting manual: a paragraph for every code and every reason there is, and for none that there is not."""

import re
from functools import cache

import pytest

from backend.api.schemas.reasons import REASONS
from backend.operations.codes import CATALOGUE_OF_CODES, Code
from backend.settings import ROOT
from tests.reasons import reasons

PAGE = ROOT / "docs" / "troubleshooting.md"
HEADING = re.compile(r"^### `([a-z0-9_]+)`$", re.MULTILINE)
# Entries of the user document that are complaints, not names.
COMPLAINTS = ("insufficient_samples", "too_few_valid_samples", "Model retraining failed", "the new model is worse")


@cache
def text() -> str:
    return PAGE.read_text(encoding="utf-8")


@cache
def paragraphs() -> dict[str, str]:
    """What stands below each name, up to the next heading."""
    parts = re.split(r"^(?=##)", text(), flags=re.MULTILINE)
    return {match[1]: part for part in parts if (match := HEADING.match(part))}


def test_every_code_and_every_reason_has_one_paragraph_and_nothing_else_has() -> None:
    known = {str(code) for code in Code} | set(reasons())
    told = HEADING.findall(text())

    assert sorted(told) == sorted(set(told)), "a name stands twice"
    missing = {name: sorted(reasons().get(name, ())) for name in sorted(known - set(told))}
    assert missing == {}
    assert set(told) - known == set()


@pytest.mark.parametrize("name", sorted(paragraphs()))
def test_each_says_what_it_means_how_to_see_it_and_what_to_do(name: str) -> None:
    meaning, _, rest = paragraphs()[name].partition("\n*See:*")
    seen, _, done = rest.partition("\n*Do:*")

    assert meaning.partition("\n")[2].strip().endswith((".", ")"))
    assert seen.strip()
    assert done.strip()


@pytest.mark.parametrize("code", list(Code))
def test_what_to_do_about_a_code_can_be_typed(code: Code) -> None:
    done = paragraphs()[code].partition("\n*Do:*")[2]

    assert re.search(r"`(qt [a-z-]+|QT_[A-Z_]+|(GET|POST) /|df -h|sudo )", done), done


def test_the_users_own_complaints_lead_to_their_paragraphs() -> None:
    table = text().partition("## Four complaints")[2].partition("###")[0]

    for complaint in COMPLAINTS:
        assert f'"{complaint}"' in table


def test_the_collector_finds_what_the_interface_and_the_doctor_name() -> None:
    """The list is made from the source; a name that is known from elsewhere shows that it is not blind."""
    found = reasons()

    assert set(REASONS) - set(found) == set()
    assert {"insufficient_samples", "too_few_valid_samples", "lost", "cold_start_rule", "stop", "other_schema"} <= set(
        found
    )
    assert set(CATALOGUE_OF_CODES) == set(Code)


def test_no_doctor_is_told_of_that_does_not_exist() -> None:
    assert "qt doctor --check" in text()
    assert "ends with 3" in text()
