"""Alerts through Apprise, which knows a hundred more services. It is an extra: imported only where it is asked for."""

import hashlib
import logging
from urllib.parse import urlsplit

from tidegate.manager.telling.delivery_rows import CLOSED, Delivery
from tidegate.manager.telling.sinks.sink import TIMEOUT_S, DeliveryError, headline, in_place_of


class AppriseError(Exception):
    """Apprise cannot be used as it is asked to; the message says what to do."""


class AppriseSink:
    """One of Apprise's addresses, which may hold a secret: only what comes before `://` is shown of it."""

    kind = "apprise"

    def __init__(self, url: str) -> None:
        try:
            import apprise  # noqa: PLC0415 - an extra
        except ImportError:
            raise AppriseError("TIDEGATE_APPRISE needs Apprise: install `tidegate[manager,apprise]`") from None
        scheme = urlsplit(url).scheme
        logging.getLogger("apprise").disabled = True  # what it logs may show the address
        self._service = apprise.Apprise()
        self._kinds = {"opened": apprise.NotifyType.WARNING, "closed": apprise.NotifyType.SUCCESS}
        self.name = f"apprise {scheme} {hashlib.sha256(url.encode()).hexdigest()[:8]}"
        if not self._service.add(url):
            raise AppriseError(f"TIDEGATE_APPRISE has an address that Apprise does not take (it begins with {scheme}:)")

    async def send(self, it: Delivery) -> None:
        """Send it. Raises `DeliveryError`."""
        over = f"Over: {it.close_reason}. " if it.what == CLOSED else ""
        sent = await self._service.async_notify(
            title=f"[tidegate] {headline(it)}",
            body=f"{over}{it.text}{in_place_of(it)}",
            notify_type=self._kinds[it.what],
            timeout=TIMEOUT_S * 2,
        )
        if not sent:
            raise DeliveryError("Apprise could not send it")
