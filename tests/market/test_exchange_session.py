"""Answers that are not taken, whatever they hold: too large ones, and those that send elsewhere."""

import tracemalloc
from collections.abc import Iterator
from datetime import timedelta

import pytest

from backend.market.exchange_session import MOST_BYTES
from backend.market.feed import FeedUnavailableError
from tests.market.exchange_server import LocalExchange, endless, plain_text, redirect
from tests.market.exchange_stage import NOW, Stage, patiently

MINUTE = timedelta(minutes=1)
MB = 1024**2


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


@pytest.mark.parametrize("path", ["exchangeInfo", "klines"])
def test_an_answer_without_end_is_cut_off_and_said(stage: Stage, path: str) -> None:
    stage.exchange.fail(endless(), path=path, times=2)
    market = stage.market(timeout_seconds=20)

    with pytest.raises(FeedUnavailableError, match="binance answered: more than 32 MB, and was cut off") as caught:
        list(market.rounds(NOW - 3 * MINUTE))
    stage.clock.pass_by(caught.value.retry_after_seconds)
    stage.exchange.heal()

    assert stage.exchange.endless_bytes < 2 * (MOST_BYTES + 16 * MB)
    assert len(patiently(market, stage.clock, NOW - 3 * MINUTE)) >= 3


def test_an_answer_without_end_takes_no_memory_without_end(stage: Stage) -> None:
    market = stage.market(timeout_seconds=20)
    market.prepare()
    stage.exchange.fail(endless(), times=2)

    tracemalloc.start()
    with pytest.raises(FeedUnavailableError):
        list(market.rounds(NOW - 3 * MINUTE))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert most < 3 * MOST_BYTES


def test_an_answer_within_the_bound_is_taken_however_it_is_sent(stage: Stage) -> None:
    market = stage.market()
    stage.exchange.fail(plain_text("[]" + " " * (MOST_BYTES - 2)), path="klines", times=1)

    assert len(patiently(market, stage.clock, NOW - 3 * MINUTE)) >= 3


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("path", ["exchangeInfo", "time", "klines"])
def test_a_redirect_is_followed_nowhere(stage: Stage, path: str, status: int) -> None:
    with LocalExchange(clock=stage.clock) as other:
        stage.exchange.fail(redirect(f"{other.url}/api/v3/{path}", status), path=path, times=2)
        market = stage.market()

        with pytest.raises(FeedUnavailableError, match=rf"a redirect \({status}\) to another address"):
            list(market.rounds(NOW - 3 * MINUTE))
        stage.exchange.heal()

        assert other.requests == []
        stage.clock.pass_by(2)
        assert len(patiently(market, stage.clock, NOW - 3 * MINUTE)) >= 3


def test_letters_of_a_charset_that_nobody_knows_are_read_as_utf_8(stage: Stage) -> None:
    market = stage.market()
    stage.exchange.fail(plain_text("[]", "application/json; charset=klingon"), times=1)

    assert len(patiently(market, stage.clock, NOW - 3 * MINUTE)) >= 3
