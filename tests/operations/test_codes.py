"""The one catalogue: complete, in sentences, and shared."""

import pytest

from backend.learning.evidence.doctor import CATALOGUE
from backend.operations.codes import CATALOGUE_OF_CODES, CATALOGUE_OF_NEWS, MEANINGS, Code, News, Severity, remedy_of


@pytest.mark.parametrize("code", Code)
def test_every_code_says_what_it_means_and_what_helps(code: Code) -> None:
    entry = CATALOGUE_OF_CODES[code]

    assert entry.meaning.endswith(".")
    assert entry.remedy.endswith(".")
    assert entry.severity in Severity
    assert MEANINGS[code] == entry.meaning
    assert remedy_of(str(code)) == entry.remedy


def test_the_doctor_knows_no_code_that_the_catalogue_lacks() -> None:
    assert set(CATALOGUE) <= set(CATALOGUE_OF_CODES) == set(Code)


def test_every_piece_of_news_is_explained_and_has_a_name_of_its_own() -> None:
    assert set(CATALOGUE_OF_NEWS) == set(News)
    assert not {str(news) for news in News} & {str(code) for code in Code}


def test_a_name_outside_the_catalogue_has_no_remedy() -> None:
    assert remedy_of("no_such_code") is None


def test_what_an_issue_promises_as_an_alarm_raises_one() -> None:
    promised = {"retraining_overdue", "retraining_failed", "live_accuracy_low", "market_feed_stale", "clock_skew",
                "artifact_corrupt", "delivery_failing", "trader_stopped", "symbols_unknown",
                "skill_lost", "errors_drifted", "features_drifted", "self_audit_failed"}  # fmt: skip

    assert {str(code) for code, entry in CATALOGUE_OF_CODES.items() if entry.alarms} == promised


def test_names_fit_their_column() -> None:
    assert all(len(name) <= 40 for name in (*Code, *News))
