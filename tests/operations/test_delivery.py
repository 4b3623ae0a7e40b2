"""Delivery to real receivers: everything arrives once, late is better than never, and nothing waits for it."""

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from backend.database import Database
from backend.models import Event
from backend.operations import audit
from backend.operations import delivery_queue as queue
from backend.operations.delivery import Courier, Deliverer, Pace
from backend.operations.delivery_types import Channel, Outcome, Parcel, Result, Target
from backend.settings import ROOT, Settings
from tests.operations.conftest import SECRET, HandClock, Office
from tests.postgres import free_port
from tests.receiver import HANG


def deliverer_of(office: Office, settings: Settings) -> Deliverer:
    """One that has begun."""
    deliverer = Deliverer(office.database, settings, office.clock)
    deliverer.begin()
    return deliverer


def last_errors(office: Office) -> list[str | None]:
    return [one.last_error for one in office.deliveries()]


def test_an_event_reaches_everybody_once(office: Office) -> None:
    deliverer = deliverer_of(office, office.with_targets(webhook=True, people=2))
    event_id = office.tell("A version was made.", strategy="bot", subject="v1")

    tried = [deliverer.step() for _ in range(3)]

    assert tried == [3, 0, 0]
    (posted,) = office.receiver.at("/hook")
    assert posted.is_signed_with(SECRET)
    assert (posted.json["event_id"], posted.json["sentence"]) == (event_id, "A version was made.")
    assert posted.json["alarm_id"] is None
    for number in range(2):
        (read,) = office.receiver.at(f"/people/{number}")
        assert "A version was made." in read.json["message"]
    assert Counter(office.states()) == {"sent": 3}
    assert all(one.attempts == 1 and one.delivered_at == office.clock() for one in office.deliveries())


def test_where_nobody_is_told_nothing_is_queued(office: Office) -> None:
    deliverer = deliverer_of(office, office.settings)
    office.tell()

    assert deliverer.step() == 0
    assert office.deliveries() == []
    assert office.database.read(audit.list_entries) == ([], None)


def test_a_target_that_is_new_does_not_get_the_past(office: Office) -> None:
    office.tell("before anybody was told")
    deliverer_of(office, office.settings).step()
    office.tell("before the webhook was set")
    later = deliverer_of(office, office.with_targets(webhook=True))
    event_id = office.tell("after")

    later.step()

    assert office.receiver.event_ids() == [event_id]
    assert len(office.deliveries()) == 1


def test_who_is_told_is_in_the_audit_trail_once_and_without_addresses(office: Office) -> None:
    settings = office.with_targets(webhook=True, people=1)
    for _ in range(3):
        deliverer_of(office, settings).step()

    (entry,), _ = office.database.read(audit.list_entries)

    assert entry["action"] == "event_targets_changed"
    assert set(entry["detail"]["labels"].values()) == {"QT_WEBHOOK_URL", "QT_NOTIFY_URLS, address 1 of 1"}
    assert "127.0.0.1" not in str(entry)


def test_a_target_that_comes_back_within_a_day_gets_what_it_missed_and_nothing_older(office: Office) -> None:
    deliverer_of(office, office.with_targets(webhook=True))
    deliverer_of(office, office.settings)
    office.tell("too long ago")
    office.clock.advance(hours=23)
    between = office.tell("between")
    office.clock.advance(hours=2)
    back = deliverer_of(office, office.with_targets(webhook=True))
    after = office.tell("after")

    back.step()

    assert office.receiver.event_ids() == [between, after]
    assert office.states() == ["failed", "sent", "sent"]


@pytest.mark.parametrize("others", [{}, {"people": 1}, {"people": 2}])
def test_a_service_with_other_targets_or_none_takes_no_event_from_this_ones(office: Office, others: Any) -> None:
    """The other one starts between this one's end and its next start."""
    settings = office.with_targets(webhook=True)
    deliverer_of(office, settings).step()
    other = deliverer_of(office, office.with_targets(**others))
    event_id = office.tell("while this one was not there")
    deliverer_of(office, office.with_targets(**others))

    deliverer_of(office, settings).step()
    other.step()

    assert office.receiver.event_ids() == [event_id]
    assert len(office.receiver.at("/people/0")) == len(others)


def test_services_with_targets_of_their_own_note_them_once_each(office: Office) -> None:
    for _ in range(3):
        deliverer_of(office, office.with_targets(webhook=True))
        deliverer_of(office, office.with_targets(people=1))
        deliverer_of(office, office.settings)

    entries, _ = office.database.read(audit.list_entries)
    known = office.database.read(queue.known_targets)

    assert len(entries) == 2
    assert sorted(place.label for place in known.values()) == ["QT_NOTIFY_URLS, address 1 of 1", "QT_WEBHOOK_URL"]
    assert all(place.replaced_at is None for place in known.values())


def test_what_happened_while_the_service_was_down_is_told_when_it_is_back(office: Office) -> None:
    settings = office.with_targets(webhook=True, people=1)
    deliverer_of(office, settings).step()
    event_id = office.tell("while nobody was there")
    office.clock.advance(hours=23)

    deliverer_of(office, settings).step()

    assert office.receiver.event_ids() == [event_id]
    assert len(office.receiver.at("/people/0")) == 1


def test_what_is_older_than_a_day_is_given_up_and_says_so(office: Office) -> None:
    settings = office.with_targets(webhook=True)
    first = deliverer_of(office, settings)
    office.receiver.answer(500)
    office.tell("tried once")
    first.step()
    office.tell("never tried")
    office.clock.advance(hours=25)

    deliverer_of(office, settings).step()

    assert len(office.receiver.received) == 1
    assert office.states() == ["failed", "failed"]
    assert last_errors(office) == [queue.STALE, queue.STALE]


def test_a_receiver_that_stumbles_gets_it_again_a_little_later(office: Office) -> None:
    deliverer = deliverer_of(office, office.with_targets(webhook=True))
    office.receiver.answer(500, 200)
    event_id = office.tell()

    deliverer.step()
    office.clock.advance(seconds=2)
    deliverer.step()
    assert len(office.receiver.received) == 1
    office.clock.advance(seconds=1)
    for _ in range(3):
        deliverer.step()

    first, second = office.receiver.received
    assert office.receiver.event_ids() == [event_id, event_id]
    assert first.headers["x-qt-timestamp"] != second.headers["x-qt-timestamp"]
    assert second.is_signed_with(SECRET)
    assert (office.states(), last_errors(office)) == (["sent"], [None])


@pytest.mark.slow
def test_attempts_end(office: Office) -> None:
    deliverer = deliverer_of(office, office.with_targets(webhook=True))
    office.receiver.answer(*[503] * 20)
    office.tell()
    began, attempted = office.clock(), []

    for _ in range(2000):
        if deliverer.step():
            attempted.append((office.clock() - began).total_seconds())
        office.clock.advance(seconds=1)

    assert attempted == [0, 3, 3 + 18, 3 + 18 + 108, 3 + 18 + 108 + 648]
    assert office.states() == ["failed"]
    assert office.deliveries()[0].attempts == 5
    assert last_errors(office) == ["It answered 503."]


def test_a_refusal_ends_it_at_once(office: Office) -> None:
    deliverer = deliverer_of(office, office.with_targets(webhook=True))
    office.receiver.answer(404)
    office.tell()

    deliverer.step()
    office.clock.advance(hours=1)

    assert deliverer.step() == 0
    assert office.states() == ["failed"]


def test_the_time_a_receiver_asks_for_is_given(office: Office) -> None:
    deliverer = deliverer_of(office, office.with_targets(webhook=True))
    office.receiver.headers["Retry-After"] = "600"
    office.receiver.answer(429)
    office.tell()
    deliverer.step()

    office.clock.advance(seconds=599)
    assert deliverer.step() == 0
    office.clock.advance(seconds=1)
    assert deliverer.step() == 1


def test_a_closed_port_is_knocked_at_once_and_the_rest_waits_untried(office: Office) -> None:
    closed = replace(office.with_targets(webhook=True), webhook_url=f"http://127.0.0.1:{free_port()}/x")
    deliverer = deliverer_of(office, closed)
    for _ in range(5):
        office.tell()

    assert deliverer.step() == 1
    assert [one.attempts for one in office.deliveries()] == [1, 0, 0, 0, 0]
    assert set(office.states()) == {"waiting"}
    assert deliverer.step() == 0


def test_one_that_fails_does_not_keep_the_others_from_being_told(office: Office) -> None:
    deliverer = deliverer_of(office, office.with_targets(webhook=True, people=2))
    office.receiver.answer(*[500] * 9, path="/people/0")
    for _ in range(3):
        office.tell()

    deliverer.step()

    assert len(office.receiver.at("/hook")) == 3
    assert len(office.receiver.at("/people/1")) == 3
    assert Counter(office.states()) == {"sent": 6, "waiting": 3}


def test_programs_get_each_event_in_order_and_people_a_flood_in_one_message(office: Office) -> None:
    deliverer = deliverer_of(office, office.with_targets(webhook=True, people=1))
    told = [office.tell(f"Number {number}.") for number in range(30)]

    for _ in range(3):
        deliverer.step()

    assert office.receiver.event_ids() == told
    (message,) = office.receiver.at("/people/0")
    assert message.json["title"] == "Quantum Trader: 30 messages in one"
    assert Counter(office.states()) == {"sent": 60}


def test_people_get_a_handful_of_messages_a_minute_and_lose_none(office: Office) -> None:
    deliverer = deliverer_of(office, office.with_targets(people=1))
    by_minute: Counter[int] = Counter()
    for second in range(180):
        if second < 60:
            office.tell(f"Second {second}.")
        by_minute[second // 60] += deliverer.step()
        office.clock.advance(seconds=1)

    assert by_minute == Counter({0: 5, 1: 1})
    assert Counter(office.states()) == {"sent": 60}


@pytest.mark.parametrize(("channel", "state"), [(Channel.NOTIFY, "failed"), (Channel.WEBHOOK, "waiting")])
def test_what_may_have_arrived_is_repeated_to_programs_only(office: Office, channel: Channel, state: str) -> None:
    def may_have(_parcels: Sequence[Parcel], _now: datetime) -> Outcome:
        return Outcome(Result.UNCERTAIN, "No answer in time.", pause=True)

    courier = courier_of(office, may_have, channel)
    office.tell()

    courier.turn()

    assert office.states() == [state]
    assert (queue.MAY_HAVE_ARRIVED in str(last_errors(office)[0])) is (state == "failed")


def courier_of(office: Office, send: Any, channel: Channel = Channel.WEBHOOK, **more: Any) -> Courier:
    """A courier to somebody who does as ``send`` does, told from now on."""
    given = {"channel": channel, "digest": "d" * 64, "label": "X", "send": send, "deadline_seconds": 5.0, "at_once": 1}
    courier = Courier(more.pop("database", office.database), Target(**given | more), office.clock)
    courier.begin(office.database.read(queue.newest_event))
    return courier


def test_nothing_is_sent_within_a_transaction(office: Office) -> None:
    seen: list[str] = []

    def send(parcels: Sequence[Parcel], _now: datetime) -> Outcome:
        office.database.write(lambda session: seen.append(str(session.is_active)))
        return Outcome(Result.SENT)

    courier = courier_of(office, send)
    office.tell()

    assert courier.turn() == 1
    assert len(seen) == 1
    assert office.states() == ["sent"]


def test_a_sender_that_breaks_stops_nobody(office: Office) -> None:
    def send(_parcels: Sequence[Parcel], _now: datetime) -> Outcome:
        raise ValueError("https://a-secret-address")

    courier = courier_of(office, send)
    office.tell()

    courier.turn()

    assert last_errors(office) == ["It failed unexpectedly (ValueError)."]


def test_one_that_outlasts_its_deadline_is_left_behind(office: Office) -> None:
    released = threading.Event()

    def send(_parcels: Sequence[Parcel], _now: datetime) -> Outcome:
        released.wait(10)
        return Outcome(Result.SENT)

    courier = courier_of(office, send, deadline_seconds=0.2)
    office.tell()
    began = time.monotonic()

    courier.turn()
    released.set()

    assert time.monotonic() - began < 2
    assert office.states() == ["waiting"]
    assert last_errors(office) == ["It did not end within 0.2 s."]


class Forgetful(Database):
    """A database that refuses some writes, as a busy or full one does, and counts the others."""

    refused: tuple[Any, ...] = ()
    writes = 0

    def write(self, use_case: Any, *args: Any, **kwargs: Any) -> Any:
        self.writes += 1
        if use_case in self.refused:
            raise OperationalError("UPDATE", {}, Exception("database is locked"))
        return super().write(use_case, *args, **kwargs)


def test_where_nothing_is_due_nothing_is_written(office: Office) -> None:
    counting = Forgetful(office.database.url)
    courier = courier_of(office, lambda *_: Outcome(Result.AGAIN, "no"), database=counting)
    courier.turn()
    assert counting.writes == 0
    office.tell()
    courier.turn()
    claimed_and_recorded = counting.writes

    for _ in range(3):
        courier.turn()
    counting.close()

    assert (claimed_and_recorded, counting.writes) == (2, 2)


@pytest.mark.parametrize("channel", Channel)
def test_what_arrived_but_could_not_be_stored_is_not_sent_again(office: Office, channel: Channel) -> None:
    forgetful = Forgetful(office.database.url)
    sent: list[str] = []

    def send(parcels: Sequence[Parcel], _now: datetime) -> Outcome:
        sent.extend(one.event["event_id"] for one in parcels)
        return Outcome(Result.SENT)

    courier = courier_of(office, send, channel, database=forgetful)
    told = [office.tell() for _ in range(3)]
    forgetful.refused = (queue.record, queue.give_back)
    for _ in range(3):
        with pytest.raises(OperationalError):
            courier.turn()
    forgetful.refused = ()

    courier.turn()
    forgetful.close()

    assert sorted(sent) == sorted(told)
    assert Counter(office.states()) == {"sent": 3}


def test_two_services_on_one_database_send_everything_once(office: Office) -> None:
    settings = office.with_targets(webhook=True, people=2)
    databases = [Database(office.database.url) for _ in range(3)]
    deliverers = [Deliverer(database, settings, office.clock) for database in databases]
    for deliverer in deliverers:
        deliverer.begin()
    told: list[str] = []

    def work(deliverer: Deliverer) -> None:
        for _ in range(8):
            told.append(office.tell())
            deliverer.step()

    threads = [threading.Thread(target=work, args=(deliverer,)) for deliverer in deliverers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    office.clock.advance(minutes=2)
    for deliverer in deliverers:
        deliverer.step()
    for database in databases:
        database.close()

    assert Counter(office.receiver.event_ids()) == Counter(dict.fromkeys(told, 1))
    assert Counter(office.states()) == {"sent": 3 * len(told)}
    assert all(one.attempts == 1 for one in office.deliveries())


CRASHING = """
import sys
from datetime import datetime
from backend.database import Database
from backend.operations.delivery import Deliverer
from backend.settings import load_settings
settings = load_settings(require_token=False)
Deliverer(Database(settings.database_url), settings, lambda: datetime.fromisoformat(sys.argv[1])).step()
"""


def crash_in_the_middle(office: Office, settings: Settings, path: str) -> None:
    """A process sends what is due, and is killed when ``path`` has got the message and not answered yet."""
    assert settings.webhook_url
    environment = {
        "QT_DATABASE_URL": office.database.url,
        "QT_WEBHOOK_URL": settings.webhook_url,
        "QT_WEBHOOK_SECRET": SECRET,
        "QT_NOTIFY_URLS": ",".join(settings.notify_urls),
    }
    office.receiver.answer(HANG, path=path)
    program = [sys.executable, "-c", CRASHING, office.clock().isoformat()]
    with subprocess.Popen(program, cwd=ROOT, env=environment) as process:
        office.receiver.wait_for(1, path)
        process.kill()


def test_a_crash_in_the_middle_repeats_to_programs_with_the_same_id_and_to_people_never(office: Office) -> None:
    settings = office.with_targets(webhook=True, people=1)
    deliverer_of(office, settings)
    event_id = office.tell()
    crash_in_the_middle(office, settings, "/people/0")
    assert office.states() == ["sending"]
    crash_in_the_middle(office, settings, "/hook")
    assert office.states() == ["failed", "sending"]

    later = deliverer_of(office, settings)
    later.step()
    office.clock.advance(seconds=3)
    later.step()

    assert office.receiver.event_ids() == [event_id, event_id]
    assert len(office.receiver.at("/people/0")) == 1
    assert office.states() == ["failed", "sent"]
    assert last_errors(office)[0] == f"{queue.INTERRUPTED} {queue.MAY_HAVE_ARRIVED}"


def test_in_its_own_threads_one_that_hangs_holds_up_neither_the_others_nor_the_end(office: Office) -> None:
    office.receiver.answer(HANG)
    wall = HandClock(office.clock())
    deliverer = Deliverer(office.database, office.with_targets(webhook=True, people=1), wall)
    deliverer.start()
    office.tell("one")
    office.tell("two")

    office.receiver.wait_for(2, "/people/0")
    office.receiver.wait_for(1)
    began = time.monotonic()
    deliverer.stop()
    took = time.monotonic() - began
    office.receiver.released.set()

    assert took < 2
    assert Counter(office.states("notify")) == {"sent": 2}
    assert Counter(office.states("webhook")) == {"sending": 2}


def test_after_the_end_nothing_is_stored_and_the_next_start_takes_over(office: Office) -> None:
    settings = office.with_targets(webhook=True)
    office.receiver.answer(HANG)
    first = Deliverer(office.database, settings, office.clock)
    first.start()
    event_id = office.tell()
    office.receiver.wait_for(1)
    first.stop(patience_seconds=0.1)
    office.receiver.released.set()
    for thread in threading.enumerate():
        if thread.name.startswith("delivery"):
            thread.join(5)
    assert office.states() == ["sending"]

    office.clock.advance(minutes=11)
    second = deliverer_of(office, settings)
    second.step()
    office.clock.advance(seconds=5)
    second.step()

    assert office.receiver.event_ids() == [event_id, event_id]
    assert office.states() == ["sent"]


def test_the_thread_goes_on_after_the_database_was_away(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    forgetful = Forgetful(office.database.url)
    settings = office.with_targets(webhook=True)
    deliverer = Deliverer(forgetful, settings, office.clock, Pace(look_every_seconds=0.02, after_failure_seconds=0.02))
    deliverer.begin()
    forgetful.refused = (queue.claim,)
    deliverer.start()
    event_id = office.tell()
    deadline = time.monotonic() + 10
    while "could not go on" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.02)

    forgetful.refused = ()
    office.receiver.wait_for(1)
    deliverer.stop()
    forgetful.close()

    assert office.receiver.event_ids() == [event_id]
    assert "could not go on" in caplog.text
    assert office.receiver.url() not in caplog.text


def test_an_event_stored_later_than_one_with_a_higher_number_is_not_overlooked(office: Office) -> None:
    def numbered(number: int) -> str:
        event_id = office.tell()
        move = update(Event).where(Event.event_id == event_id).values(id=number)
        office.database.write(lambda session: session.execute(move))
        return event_id

    courier = courier_of(office, lambda *_: Outcome(Result.SENT))
    courier.begin(900)
    told = [numbered(1000)]
    courier.turn()
    told.append(numbered(950))
    assert courier.turn() == 1
    told.append(numbered(10))
    assert courier.turn() == 0

    courier.begin(0)
    courier.turn()

    assert [one.event_id for one in office.deliveries()] == told
    assert Counter(office.states()) == {"sent": 3}
