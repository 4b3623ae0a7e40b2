"""The test message goes to everybody there is, and is in the audit trail."""

from backend.operations import audit
from backend.operations.delivery import Deliverer
from backend.operations.delivery_targets import targets_of
from backend.operations.trial import NOBODY, try_out
from tests.operations.conftest import Office


def test_a_test_message_reaches_people_and_programs(office: Office) -> None:
    settings = office.with_targets(webhook=True, people=1)
    deliverer = Deliverer(office.database, settings, office.clock)
    deliverer.begin()

    told = office.database.write(try_out, targets_of(settings), "admin", office.clock())
    deliverer.step()

    assert office.receiver.event_ids() == [told["event_id"]]
    assert "test" in office.receiver.at("/people/0")[0].json["title"]
    assert [one["setting"] for one in told["targets"]] == ["QT_NOTIFY_URLS, address 1 of 1", "QT_WEBHOOK_URL"]
    (entry, *_), _ = office.database.read(audit.list_entries)
    assert (entry["action"], entry["actor"]) == ("alarms_test", "admin")


def test_where_nobody_is_told_it_says_so(office: Office) -> None:
    told = office.database.write(try_out, (), "admin", office.clock())

    assert (told["targets"], told["message"]) == ([], NOBODY)
