"""A loop in a thread of its own: results and errors come back, and whoever waits is let go when it closes."""

import asyncio
import threading
import time

import pytest

from backend.market.exchange_loop import LoopClosedError, LoopThread


async def answer(value: int) -> int:
    await asyncio.sleep(0)
    return value


async def fail() -> None:
    raise KeyError("inside")


def test_results_and_errors_of_coroutines_come_back() -> None:
    loop = LoopThread("test")

    assert [loop.run(answer(number)) for number in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError, match="inside"):
        loop.run(fail())
    loop.close(answer(0))


def test_many_threads_may_ask_at_once() -> None:
    loop = LoopThread("test")
    found: list[int] = []
    threads = [threading.Thread(target=lambda n=n: found.append(loop.run(answer(n)))) for n in range(20)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    loop.close(answer(0))

    assert sorted(found) == list(range(20))


def test_closing_ends_what_waits_then_says_farewell_and_leaves_no_thread() -> None:
    loop = LoopThread("test of the end")
    said: list[str] = []
    ended: list[type[BaseException]] = []
    waits = threading.Event()

    async def wait() -> None:
        waits.set()
        await asyncio.sleep(60)

    async def farewell() -> None:
        said.append("farewell")

    def ask() -> None:
        try:
            loop.run(wait())
        except LoopClosedError as error:
            ended.append(type(error))

    thread = threading.Thread(target=ask)
    thread.start()
    assert waits.wait(5)
    began = time.monotonic()
    loop.close(farewell())
    thread.join(5)

    assert time.monotonic() - began < 2
    assert (said, ended) == (["farewell"], [LoopClosedError])
    assert "test of the end" not in [one.name for one in threading.enumerate()]


def test_a_closed_loop_runs_nothing_and_closes_only_once() -> None:
    loop = LoopThread("test")
    loop.close(answer(0))

    with pytest.raises(LoopClosedError):
        loop.run(answer(1))
    loop.close(answer(2))
