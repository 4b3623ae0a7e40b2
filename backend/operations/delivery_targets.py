"""Who is told, from the settings; an address is never repeated, only where it stands."""

import hashlib

from backend.env_file import SettingsError
from backend.operations.delivery_people import People
from backend.operations.delivery_types import Channel, Target
from backend.operations.delivery_webhook import TIMEOUT_SECONDS, Webhook
from backend.settings import Settings

PEOPLE_DEADLINE_SECONDS = 30.0
SUMMED_UP_AT_MOST = 100


def targets_of(settings: Settings) -> tuple[Target, ...]:
    """Everybody that the settings name."""
    urls = settings.notify_urls
    people = [
        Target(
            Channel.NOTIFY,
            digest_of(Channel.NOTIFY, url),
            f"QT_NOTIFY_URLS, address {number} of {len(urls)}",
            People(url),
            PEOPLE_DEADLINE_SECONDS,
            SUMMED_UP_AT_MOST,
        )
        for number, url in enumerate(urls, start=1)
    ]
    if settings.webhook_url is None or settings.webhook_secret is None:
        return tuple(people)
    webhook = Target(
        Channel.WEBHOOK,
        digest_of(Channel.WEBHOOK, settings.webhook_url),
        "QT_WEBHOOK_URL",
        Webhook(settings.webhook_url, settings.webhook_secret),
        TIMEOUT_SECONDS + 5,
        1,
    )
    return (*people, webhook)


def digest_of(channel: Channel, address: str) -> str:
    """What the rows know of an address."""
    return hashlib.sha256(f"{channel}:{address}".encode()).hexdigest()


def check_addresses(settings: Settings) -> None:
    """Refuse an address that apprise cannot use, before anything starts; SettingsError says which one it is."""
    urls = settings.notify_urls
    for number, url in enumerate(urls, start=1):
        if not People(url).usable():
            raise SettingsError(
                f"QT_NOTIFY_URLS: address {number} of {len(urls)} is not one that apprise can use. Correct it, or"
                " remove it; a comma within an address is written %2C."
            )
