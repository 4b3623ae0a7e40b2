"""The queue as rows: whatever is answered, whoever crashes, and whatever the clock does."""

import threading
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import delete
from sqlalchemy.orm import Session

from backend.clock import Clock
from backend.database import Database
from backend.models import Base, Delivery, Event
from backend.operations import delivery_queue as queue
from backend.operations.codes import News
from backend.operations.delivery import Courier
from backend.operations.delivery_types import Channel, Outcome, Parcel, Result, Target
from backend.operations.events import count_events, tell
from tests.operations.conftest import HandClock, Office

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
DEAD = "nowhere:1:never"
FREE_OF_CHARGE = (Result.SENT, Result.REFUSED)


def target_for(send: Any, channel: Channel = Channel.WEBHOOK, digest: str = "d") -> Target:
    return Target(channel, digest * 64, "X", send, 5.0, 1 if channel is Channel.WEBHOOK else 100)


def nobody(_parcels: Sequence[Parcel], _now: datetime) -> Outcome:
    raise AssertionError("nothing was to be sent")


def claim(office: Office, target: Target, owner: str = "me:1:now") -> list[list[Parcel]]:
    return office.database.write(queue.claim, target, 0, office.clock(), owner)


def test_a_claim_is_nobody_elses(office: Office) -> None:
    target = target_for(nobody)
    told = [office.tell() for _ in range(3)]

    first = claim(office, target)
    second = claim(office, target, "other:2:now")

    assert [parcel.event["event_id"] for (parcel,) in first] == told
    assert second == []
    assert {one.owner for one in office.deliveries()} == {"me:1:now"}


def test_a_claim_takes_a_few_at_a_time_and_comes_back_for_the_rest(office: Office) -> None:
    target = target_for(nobody)
    for _ in range(50):
        office.tell()

    assert [len(claim(office, target, f"o{number}:1:x")) for number in range(4)] == [20, 20, 10, 0]


def test_a_lost_claim_is_free_after_its_time_and_its_owner_changes_nothing_any_more(office: Office) -> None:
    target = target_for(nobody)
    office.tell()
    (mine,) = claim(office, target)
    office.clock.advance(minutes=9)
    assert claim(office, target, "other:2:now") == []
    office.clock.advance(minutes=1)
    claim(office, target, "other:2:now")
    office.clock.advance(seconds=3)
    assert len(claim(office, target, "other:2:now")) == 1

    office.database.write(queue.record, mine, Outcome(Result.SENT), Channel.WEBHOOK, office.clock(), "me:1:now")
    office.database.write(queue.give_back, mine, office.clock(), "me:1:now")

    (delivery,) = office.deliveries()
    assert (delivery.state, delivery.owner, delivery.attempts) == ("sending", "other:2:now", 2)


def test_what_is_given_back_was_no_attempt(office: Office) -> None:
    target = target_for(nobody)
    office.tell()
    (mine,) = claim(office, target)

    office.database.write(queue.give_back, mine, office.clock() + timedelta(seconds=7), "me:1:now")

    (delivery,) = office.deliveries()
    assert (delivery.state, delivery.attempts, delivery.owner) == ("waiting", 0, None)
    assert claim(office, target) == []
    office.clock.advance(seconds=7)
    assert len(claim(office, target)) == 1


def test_the_cheap_look_says_what_the_claim_would_find(office: Office) -> None:
    target = target_for(nobody)

    def has_work(owner: str = "me:1:now") -> bool:
        return office.database.read(queue.has_work, target, 0, office.clock(), owner)

    assert has_work() is False
    office.tell()
    assert has_work() is True
    claim(office, target)
    assert has_work("other:2:now") is False
    assert has_work("me:1:now") is True, "a claim of one's own that nobody finished"


def test_what_waits_for_a_target_that_is_gone_is_given_up_after_a_day(office: Office) -> None:
    target = target_for(nobody)
    event_id = office.tell()
    (parcels,) = claim(office, target)
    office.database.write(queue.give_back, parcels, office.clock(), "me:1:now")
    assert office.database.read(queue.expired, office.clock()) == []

    office.clock.advance(days=1, seconds=1)
    assert [one.event_id for one in office.database.read(queue.expired, office.clock())] == [event_id]
    office.database.write(queue.expire, office.clock())

    assert (office.states(), office.deliveries()[0].last_error) == (["failed"], queue.STALE)


def test_a_long_past_is_told_in_parts(office: Office) -> None:
    def many(session: Session) -> None:
        for number in range(queue.EVENTS_A_LOOK + 50):
            told = {"strategy": None, "subject": None, "sentence": str(number), "detail": {}, "at": NOON}
            tell(session, News.TEST, **told)  # type: ignore[arg-type]

    office.database.write(many)
    sent: list[str] = []

    def send(parcels: Sequence[Parcel], _now: datetime) -> Outcome:
        sent.extend(one.event["sentence"] for one in parcels)
        return Outcome(Result.SENT)

    courier = Courier(office.database, target_for(send, Channel.NOTIFY), office.clock)
    courier.begin(0)
    while len(sent) < queue.EVENTS_A_LOOK + 50:
        assert courier.turn() == 1
        office.clock.advance(seconds=20)

    assert [int(text) for text in sent] == list(range(queue.EVENTS_A_LOOK + 50))


@given(st.integers(1, 5), st.none() | st.integers(0, 10_000))
def test_the_next_attempt_is_later_each_time_and_never_before_it_was_asked_for(
    attempts: int, asked: int | None
) -> None:
    outcome = Outcome(Result.AGAIN, "x", None if asked is None else timedelta(seconds=asked))

    at = queue.retry_at(attempts, outcome, NOON)

    assert (at - NOON).total_seconds() == max(3 * 6 ** (attempts - 1), asked or 0)


OUTCOMES = st.sampled_from(list(Result))


@hypothesis_settings(max_examples=40, deadline=None)
@given(st.lists(OUTCOMES, min_size=1, max_size=8), st.sampled_from(list(Channel)))
def test_an_event_ends_as_its_answers_say(answers: list[Result], channel: Channel) -> None:
    database, clock = Database("sqlite://"), HandClock(NOON)
    Base.metadata.create_all(database.engine)
    left, given_out = list(answers), []

    def send(_parcels: Sequence[Parcel], _now: datetime) -> Outcome:
        given_out.append(left.pop(0) if left else Result.SENT)
        return Outcome(given_out[-1], None if given_out[-1] is Result.SENT else "no")

    courier = Courier(database, target_for(send, channel), clock)
    courier.begin(0)
    told: dict[str, Any] = {"strategy": None, "subject": None, "sentence": "x", "detail": {}, "at": NOON}
    database.write(lambda session: tell(session, News.TEST, **told))
    for _ in range(12):
        courier.turn()
        clock.advance(minutes=15)
    row = database.read(lambda session: session.query(Delivery).one())
    database.close()

    final = {*FREE_OF_CHARGE, *([Result.UNCERTAIN] if channel is Channel.NOTIFY else [])}
    plan = [*answers, *[Result.SENT] * 5][:5]
    ends = next((index for index, answer in enumerate(plan) if answer in final), 4)
    assert given_out == plan[: ends + 1]
    assert row.attempts == ends + 1
    assert row.state == ("sent" if plan[ends] is Result.SENT else "failed")


class Post(RuleBasedStateMachine):
    """Two couriers a target, crashes and a clock: programs may hear twice after a crash, people never."""

    office: Office

    @initialize()
    def begin(self) -> None:
        self.office.database.write(_forget)
        self.heard: dict[Channel, Counter[str]] = {channel: Counter() for channel in Channel}
        self.answer = Result.SENT
        self.targets = {channel: target_for(self._hear(channel), channel, str(channel)[0]) for channel in Channel}
        self.couriers = [
            Courier(self.office.database, target, self.office.clock) for target in self.targets.values() for _ in "ab"
        ]
        self.crashed: Counter[str] = Counter()
        for courier in self.couriers:
            courier.begin(0)

    def _hear(self, channel: Channel) -> Any:
        def send(parcels: Sequence[Parcel], _now: datetime) -> Outcome:
            if self.answer in (Result.SENT, Result.UNCERTAIN):
                self.heard[channel].update(one.event["event_id"] for one in parcels)
            return Outcome(self.answer, None if self.answer is Result.SENT else "no")

        return send

    @rule()
    def something_happens(self) -> None:
        self.office.tell()

    @rule(courier=st.integers(0, 3), answer=OUTCOMES)
    def a_courier_goes(self, courier: int, answer: Result) -> None:
        self.answer = answer
        self.couriers[courier].turn()

    @rule(channel=st.sampled_from(list(Channel)), arrived=st.booleans())
    def a_process_dies_with_parcels_in_hand(self, channel: Channel, arrived: bool) -> None:
        owner = _gone()
        for parcels in self.office.database.write(queue.claim, self.targets[channel], 0, self.office.clock(), owner):
            for parcel in parcels:
                self.crashed[parcel.event["event_id"]] += 1
                self.heard[channel][parcel.event["event_id"]] += arrived

    @rule(seconds=st.sampled_from([1, 30, 700]))
    def time_passes(self, seconds: int) -> None:
        self.office.clock.advance(seconds=seconds)

    @invariant()
    def nobody_hears_too_much(self) -> None:
        assert all(count <= 1 for count in self.heard[Channel.NOTIFY].values())
        assert all(count <= 5 for count in self.heard[Channel.WEBHOOK].values())

    @invariant()
    def each_event_goes_to_each_target_in_one_row(self) -> None:
        rows = Counter((one.event_id, one.channel) for one in self.office.deliveries())
        assert set(rows.values()) <= {1}
        assert all(one.attempts <= 5 for one in self.office.deliveries())
        sent = [one for one in self.office.deliveries() if one.state == "sent"]
        assert all(self.heard[Channel(one.channel)][one.event_id] >= 1 for one in sent)

    def teardown(self) -> None:
        """In the end everything comes to rest, and what was never refused or lost has arrived."""
        if not hasattr(self, "couriers"):
            return
        self.answer = Result.SENT
        for _ in range(40):
            for courier in self.couriers:
                courier.turn()
            self.office.clock.advance(minutes=12)
        assert {one.state for one in self.office.deliveries()} <= {"sent", "failed"}
        assert len(self.office.deliveries()) == 2 * self.office.database.read(count_events)


def _forget(session: Session) -> None:
    session.execute(delete(Delivery))
    session.execute(delete(Event))


def _gone() -> str:
    """A process of this machine that is no more."""
    identity = queue.system.process_identity()
    host, _, start = identity.split(":", 2)
    return f"{host}:{2**22 + 1}:{start}"


def test_whatever_happens_people_hear_once_and_programs_at_least_once_or_it_says_so(office: Office) -> None:
    machine = type("Machine", (Post,), {"office": office})

    run_state_machine_as_test(
        machine, settings=hypothesis_settings(max_examples=8, stateful_step_count=20, deadline=None)
    )

    assert set(office.states()) <= {"sent", "failed"}


@pytest.mark.postgres
def test_on_postgresql_too_several_processes_claim_each_event_once(postgres_url: str) -> None:
    databases = [Database(postgres_url) for _ in range(4)]
    Base.metadata.create_all(databases[0].engine)
    clock: Clock = HandClock(NOON)
    told: dict[str, Any] = {"strategy": None, "subject": None, "sentence": "x", "detail": {}, "at": NOON}
    for _ in range(60):
        databases[0].write(lambda session: tell(session, News.TEST, **told))
    sent: list[str] = []

    def send(parcels: Sequence[Parcel], _now: datetime) -> Outcome:
        sent.extend(one.event["event_id"] for one in parcels)
        return Outcome(Result.SENT)

    def work(database: Database) -> None:
        courier = Courier(database, target_for(send), clock)
        courier.begin(0)
        for _ in range(8):
            courier.turn()

    threads = [threading.Thread(target=work, args=(database,)) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for database in databases:
        database.close()

    assert Counter(sent).most_common(1)[0][1] == 1
    assert len(sent) == 60
