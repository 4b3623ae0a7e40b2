"""Leases: one holder at a time, a fence that only grows, and no waiting for the dead."""

import subprocess
import sys
import threading
from datetime import datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from backend.database import Database
from backend.operations import leases

TTL = timedelta(seconds=30)
NAME = "trader:simulated"


def test_only_one_holds_until_the_time_is_over(database: Database, now: datetime) -> None:
    assert database.write(leases.acquire, NAME, "a", now, TTL) == 1
    assert database.write(leases.acquire, NAME, "b", now + TTL / 2, TTL) is None

    assert database.write(leases.acquire, NAME, "b", now + TTL, TTL) == 2


def test_the_holder_prolongs_with_the_same_fence(database: Database, now: datetime) -> None:
    database.write(leases.acquire, NAME, "a", now, TTL)

    assert database.write(leases.acquire, NAME, "a", now + TTL / 2, TTL) == 1
    assert database.write(leases.acquire, NAME, "b", now + TTL, TTL) is None


def test_renewing_fails_once_another_could_have_taken_it(database: Database, now: datetime) -> None:
    database.write(leases.acquire, NAME, "a", now, TTL)

    assert database.write(leases.renew, NAME, "a", now + TTL / 2, TTL) is True
    assert database.write(leases.renew, NAME, "b", now, TTL) is False
    assert database.write(leases.renew, NAME, "a", now + 3 * TTL, TTL) is False
    assert database.write(leases.renew, "nothing", "a", now, TTL) is False


def test_released_it_is_free_at_once_and_the_fence_grows(database: Database, now: datetime) -> None:
    database.write(leases.acquire, NAME, "a", now, TTL)
    database.write(leases.release, NAME, "b", now)
    still = database.write(leases.acquire, NAME, "b", now, TTL)
    database.write(leases.release, NAME, "a", now)

    assert still is None
    assert database.write(leases.acquire, NAME, "b", now, TTL) == 2


def test_an_old_fence_no_longer_counts(database: Database, now: datetime) -> None:
    fence = database.write(leases.acquire, NAME, "a", now, TTL)
    assert fence == 1
    assert database.read(leases.holds, NAME, fence)

    database.write(leases.acquire, NAME, "b", now + TTL, TTL)

    assert not database.read(leases.holds, NAME, fence)
    assert not database.read(leases.holds, "nothing", 1)


def test_the_lease_of_a_process_that_ended_is_free_at_once(database: Database, now: datetime) -> None:
    asked = [sys.executable, "-c", "from backend import system; print(system.process_identity())"]
    gone = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    database.write(leases.acquire, NAME, gone, now, TTL)

    assert database.write(leases.acquire, NAME, "new", now, TTL) == 2


def test_leases_of_the_dead_end_and_those_of_the_living_stay(database: Database, now: datetime) -> None:
    asked = [sys.executable, "-c", "from backend import system; print(system.process_identity())"]
    gone = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    database.write(leases.acquire, NAME, gone, now, TTL)
    database.write(leases.acquire, "other", "elsewhere:1:x-1", now, TTL)

    assert database.write(leases.release_lost, now) == [NAME]
    assert database.write(leases.release_lost, now) == []


def test_of_many_that_want_it_at_once_one_gets_it(database: Database, now: datetime) -> None:
    barrier, fences = threading.Barrier(6), []

    def want(holder: str) -> None:
        barrier.wait()
        fences.append(database.write(leases.acquire, NAME, holder, now, TTL))

    threads = [threading.Thread(target=want, args=(f"holder-{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(fences, key=str) == [1, None, None, None, None, None]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40), st.booleans()), max_size=20))
def test_fences_never_shrink_and_two_never_hold(
    database: Database, now: datetime, steps: list[tuple[str, int, bool]]
) -> None:
    database.write(lambda session: session.execute(text("DELETE FROM leases")))
    time, holder, until, newest = now, "", now, 0
    for who, seconds, give_back in steps:
        time += timedelta(seconds=seconds)
        fence = database.write(leases.acquire, NAME, who, time, TTL)
        if fence is None:
            assert who != holder
            assert time < until
            continue
        assert fence == newest + (who != holder)
        holder, until, newest = who, time + TTL, fence
        if give_back:
            database.write(leases.release, NAME, who, time)
            until = time
