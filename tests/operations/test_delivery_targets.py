"""Who is told, from the settings, and what is said of an address that cannot be used."""

import dataclasses

import pytest

from backend.env_file import SettingsError
from backend.operations.delivery_targets import check_addresses, digest_of, targets_of
from backend.operations.delivery_types import Channel
from backend.settings import Settings
from tests.operations.conftest import Office
from tests.receiver import load_apprise

load_apprise()


def test_without_an_address_nobody_is_told(settings: Settings) -> None:
    assert targets_of(settings) == ()


def test_everybody_named_is_told_and_shown_without_the_address(office: Office) -> None:
    settings = office.with_targets(webhook=True, people=2)

    targets = targets_of(settings)

    assert [(one.channel, one.label, one.at_once) for one in targets] == [
        (Channel.NOTIFY, "QT_NOTIFY_URLS, address 1 of 2", 100),
        (Channel.NOTIFY, "QT_NOTIFY_URLS, address 2 of 2", 100),
        (Channel.WEBHOOK, "QT_WEBHOOK_URL", 1),
    ]
    assert len({one.digest for one in targets}) == 3
    assert all(len(one.digest) == 64 for one in targets)
    assert "127.0.0.1" not in "".join(one.digest + one.label for one in targets)


def test_the_same_address_is_the_same_target_after_a_restart_and_another_on_another_channel() -> None:
    assert digest_of(Channel.WEBHOOK, "http://h/x") == digest_of(Channel.WEBHOOK, "http://h/x")
    assert digest_of(Channel.WEBHOOK, "http://h/x") != digest_of(Channel.NOTIFY, "http://h/x")


def test_an_address_apprise_cannot_use_is_named_by_its_place_alone(settings: Settings) -> None:
    wrong = dataclasses.replace(settings, notify_urls=("json://127.0.0.1/x", "jsson://host/topsecret"))

    with pytest.raises(SettingsError) as refused:
        check_addresses(wrong)

    assert "address 2 of 2" in str(refused.value)
    assert "topsecret" not in str(refused.value)


def test_addresses_that_can_be_used_pass(office: Office) -> None:
    assert check_addresses(office.with_targets(webhook=True, people=2)) is None
