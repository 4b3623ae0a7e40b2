"""Alarms: open once per code and subject, told when they open and when they close, and again after that."""

import threading
import time
from collections import Counter
from datetime import datetime, timedelta

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.database import Database
from backend.models import Alarm, Base, Event
from backend.operations.alarms import Condition, close_alarm, list_alarms, open_alarms, raise_alarm, same_words
from backend.operations.codes import CATALOGUE_OF_CODES, Code, Severity
from backend.operations.events import list_events

SILENT = Code.MARKET_FEED_STALE
NOON = datetime.fromisoformat("2026-03-02T12:00:00+00:00")


def sound(database: Database, subject: str, now: datetime, detail: str = "silent", code: Code = SILENT) -> bool:
    return database.write(
        raise_alarm,
        code,
        subject,
        strategy=subject.lower(),
        severity=Severity.WARNING,
        detail=detail,
        evidence={"seconds": 40},
        at=now,
    )


def shown(session: Session) -> list[tuple[str, str]]:
    return [(alarm.subject, alarm.detail) for alarm in open_alarms(session)]


def states(database: Database) -> list[str]:
    """What was told, oldest first."""
    return [event["state"] for event in reversed(database.read(list_events)[0])]


def test_an_alarm_opens_once_and_says_the_newest(database: Database, now: datetime) -> None:
    assert sound(database, "BTCUSDC", now) is True
    assert sound(database, "BTCUSDC", now, "silent for longer") is False

    assert database.read(shown) == [("BTCUSDC", "silent for longer")]
    assert states(database) == ["raised"]


def test_subjects_have_alarms_of_their_own(database: Database, now: datetime) -> None:
    sound(database, "BTCUSDC", now)
    sound(database, "ETHUSDC", now)

    assert [subject for subject, _ in database.read(shown)] == ["BTCUSDC", "ETHUSDC"]


def test_a_closed_alarm_may_open_again_as_a_new_one(database: Database, now: datetime) -> None:
    sound(database, "BTCUSDC", now)

    assert database.write(close_alarm, SILENT, "BTCUSDC", at=now) is True
    assert database.write(close_alarm, SILENT, "BTCUSDC", at=now) is False
    assert database.read(shown) == []
    assert sound(database, "BTCUSDC", now) is True

    assert states(database) == ["raised", "closed", "raised"]
    alarms, _ = database.read(list_alarms, state="all")
    assert [alarm["id"] for alarm in alarms] == [2, 1]
    assert [alarm["closed_at"] is None for alarm in alarms] == [True, False]


def test_what_is_told_has_the_sentence_the_evidence_and_what_to_do(database: Database, now: datetime) -> None:
    sound(database, "default", now, "No candle for 40 s.")
    database.write(close_alarm, SILENT, "default", at=now + timedelta(minutes=5))

    closed, raised = database.read(list_events)[0]

    assert (raised["sentence"], raised["severity"], raised["strategy"]) == ("No candle for 40 s.", "warning", "default")
    assert raised["detail"] == {"evidence": {"seconds": 40}, "remedy": CATALOGUE_OF_CODES[SILENT].remedy}
    assert closed["sentence"].endswith("No candle for 40 s.")
    assert closed["detail"] == {"raised_at": "2026-03-02T12:00:00Z", "closed_at": "2026-03-02T12:05:00Z"}
    assert raised["code"] == closed["code"] == "market_feed_stale"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Right in 40 of 80 (50.0%).", "Right in 41 of 1,081 (50.6%).", True),
        ("Since 2026-03-01T03:00:00Z, BTC1.", "Since 2026-03-02T04:00:00.5Z, BTC2.", True),
        ("v20260301_030000 was right in 40.", "v20260301_030000 was right in 41.", True),
        ("v20260301_030000 was right in 40.", "v20260301_040000 was right in 40.", False),
        ("Run v20260301_030000.", "Run v20260302_030000.", False),
        ("40 of 80 (v20260301_030000)", "40 of 80 (v20260302_030000)", False),
    ],
)
def test_figures_are_no_words_and_versions_are(one: str, other: str, same: bool) -> None:
    assert same_words(one, other) is same


def test_a_remedy_of_its_own_goes_before_the_general_one(database: Database, now: datetime) -> None:
    told = {"strategy": None, "severity": Severity.ERROR, "detail": "x", "at": now, "remedy": "Turn it on."}

    database.write(raise_alarm, SILENT, "default", **told)  # type: ignore[arg-type]

    assert database.read(list_events)[0][0]["detail"]["remedy"] == "Turn it on."


def test_an_alarm_is_not_told_where_its_transaction_fails(database: Database, now: datetime) -> None:
    def fail(session: Session) -> None:
        raise_alarm(session, SILENT, "x", strategy=None, severity=Severity.ERROR, detail="d", at=now)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        database.write(fail)

    assert database.read(shown) == []
    assert states(database) == []


def test_what_cannot_be_stored_is_made_storable(database: Database, now: datetime) -> None:
    sound(database, "x" * 500, now, "cut\0 off \ud800")

    assert database.read(shown) == [("x" * 128, "cut? off ?")]
    assert database.write(close_alarm, SILENT, "x" * 500, at=now) is True


def test_alarms_are_listed_by_state_strategy_and_page(database: Database, now: datetime) -> None:
    for subject in ("A", "B", "C"):
        sound(database, subject, now)
    database.write(close_alarm, SILENT, "B", at=now)

    def subjects(**page: object) -> list[str]:
        return [alarm["subject"] for alarm in database.read(list_alarms, **page)[0]]  # type: ignore[arg-type]

    first, cursor = database.read(list_alarms, state="all", limit=2)

    assert subjects() == ["C", "A"]
    assert subjects(state="closed") == ["B"]
    assert subjects(state="all", strategy="b") == ["B"]
    assert [alarm["subject"] for alarm in first] == ["C", "B"]
    assert subjects(state="all", cursor=cursor) == ["A"]


def test_open_alarms_are_found_by_strategy_and_code(database: Database, now: datetime) -> None:
    sound(database, "A", now)
    sound(database, "B", now, code=Code.CLOCK_SKEW)

    assert [alarm.subject for alarm in database.read(open_alarms, strategy="a")] == ["A"]
    assert [alarm.subject for alarm in database.read(open_alarms, code=Code.CLOCK_SKEW)] == ["B"]


def test_the_table_itself_holds_one_open_alarm(database: Database, now: datetime) -> None:
    def twice(session: Session) -> None:
        for _ in range(2):
            session.add(Alarm(code="c", subject="s", severity="info", detail="", raised_at=now))

    with pytest.raises(IntegrityError):
        database.write(twice)


def _race(url: str, now: datetime) -> tuple[list[bool], list[bool]]:
    """Several databases of several processes, as it were, raise and close the same alarm at the same moment."""
    databases = [Database(url) for _ in range(6)]
    barrier = threading.Barrier(len(databases), timeout=20)
    raised: list[bool] = []
    closed: list[bool] = []

    def work(own: Database) -> None:
        barrier.wait()
        raised.append(sound(own, "default", now))
        barrier.wait()
        closed.append(own.write(close_alarm, SILENT, "default", at=now))

    threads = [threading.Thread(target=work, args=(own,)) for own in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for own in databases:
        own.close()
    return raised, closed


def test_processes_that_see_the_same_at_once_raise_and_close_it_once(database: Database, now: datetime) -> None:
    raised, closed = _race(database.url, now)

    assert (Counter(raised), Counter(closed)) == (Counter({False: 5, True: 1}), Counter({False: 5, True: 1}))
    assert states(database) == ["raised", "closed"]


@pytest.mark.postgres
def test_so_it_is_on_postgresql_and_the_transactions_that_come_second_live_on(postgres_url: str, now: datetime) -> None:
    database = Database(postgres_url)
    Base.metadata.create_all(database.engine)

    raised, closed = _race(postgres_url, now)

    assert (sum(raised), sum(closed), len(raised), len(closed)) == (1, 1, 6, 6)
    assert states(database) == ["raised", "closed"]
    database.close()


@pytest.mark.postgres
def test_who_was_second_by_a_moment_says_the_newest_in_the_alarm_that_is_open(postgres_url: str, now: datetime) -> None:
    """The second one sees no open alarm, stores its own, and is told that the first one's is there."""
    first, second = Database(postgres_url), Database(postgres_url)
    Base.metadata.create_all(first.engine)
    told: list[bool] = []
    late = threading.Thread(target=lambda: told.append(sound(second, "default", now, "second")))

    def until_the_second_waits(session: Session) -> None:
        told.append(raise_alarm(session, SILENT, "default", **quiet("first", now)))
        session.flush()
        late.start()
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        deadline = time.monotonic() + 20
        while session.execute(waiting).scalar_one() == 0 and time.monotonic() < deadline:
            time.sleep(0.01)

    first.write(until_the_second_waits)
    late.join()

    assert told == [True, False]
    assert first.read(shown) == [("default", "second")]
    assert states(first) == ["raised"]
    first.close()
    second.close()


def quiet(detail: str, at: datetime) -> Condition:
    return {"strategy": "default", "severity": Severity.WARNING, "detail": detail, "at": at}


class Alarms(RuleBasedStateMachine):
    """Whatever is raised and closed in whatever order: a dictionary knows what must be open."""

    database: Database

    @initialize()
    def begin(self) -> None:
        self.open: dict[tuple[Code, str], str] = {}
        self.told: Counter[str] = Counter()
        self.database.write(_forget)

    @rule(code=st.sampled_from([SILENT, Code.CLOCK_SKEW]), subject=st.sampled_from("ab"), detail=st.text(max_size=5))
    def raise_it(self, code: Code, subject: str, detail: str) -> None:
        new = sound(self.database, subject, NOON, detail, code)
        assert new is ((code, subject) not in self.open)
        self.told["raised"] += new
        self.open[code, subject] = detail

    @rule(code=st.sampled_from([SILENT, Code.CLOCK_SKEW]), subject=st.sampled_from("ab"))
    def close_it(self, code: Code, subject: str) -> None:
        was_open = self.database.write(close_alarm, code, subject, at=NOON)
        assert was_open is ((code, subject) in self.open)
        self.told["closed"] += was_open
        self.open.pop((code, subject), None)

    @invariant()
    def the_rows_say_what_is_open_and_what_was_told(self) -> None:
        open_now = {(Code(alarm.code), alarm.subject) for alarm in self.database.read(open_alarms)}
        assert open_now == set(self.open)
        assert self.database.read(_counted) == +self.told


def _forget(session: Session) -> None:
    session.query(Event).delete()
    session.query(Alarm).delete()


def _counted(session: Session) -> Counter[str]:
    return Counter(dict(session.execute(select(Event.state, func.count()).group_by(Event.state)).all()))


def test_alarms_are_what_a_dictionary_would_be(database: Database) -> None:
    machine = type("Machine", (Alarms,), {"database": database})

    run_state_machine_as_test(
        machine, settings=hypothesis_settings(max_examples=20, stateful_step_count=15, deadline=None)
    )

    assert database.read(list_events) is not None
