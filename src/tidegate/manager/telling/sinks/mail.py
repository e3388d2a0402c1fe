"""Alerts as mail, through a server that speaks SMTP."""

import asyncio
import smtplib
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import unquote, urlsplit

from tidegate.manager.telling.delivery_rows import CLOSED, Delivery
from tidegate.manager.telling.sinks.sink import TIMEOUT_S, DeliveryError, headline, in_place_of
from tidegate.os_words import os_words

_WORDS = 300
_THREADS = ThreadPoolExecutor(4, thread_name_prefix="mail")
"""Mail's own: a server that does not answer holds its threads, and those of the loop are for the database."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in. `security` is `starttls`, `tls` or `none`; with `starttls` nothing goes without it."""

    host: str
    port: int
    security: str
    user: str = ""
    password: str = field(default="", repr=False)


def mail_server(url: str) -> MailServer:
    """From `smtp://USER:PASSWORD@HOST:PORT` (STARTTLS), `smtps://` (TLS) or `smtp+insecure://` (neither)."""
    parts = urlsplit(url)
    security, port = {"smtp": ("starttls", 587), "smtps": ("tls", 465)}.get(parts.scheme, ("none", 25))
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return MailServer(parts.hostname or "", parts.port or port, security, user, password)


class Mail:
    """One address that alerts are mailed to."""

    kind = "mail"

    def __init__(
        self,
        server: MailServer,
        sender: str,
        to: str,
        *,
        tls: ssl.SSLContext,
        manager: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.name = f"mail {to}"
        self._server, self._sender, self._to, self._tls = server, sender, to, tls
        self._manager, self._timeout_s = manager, timeout_s

    async def send(self, it: Delivery) -> None:
        """Hand it in. Raises `DeliveryError`."""
        message = self._message(it)
        try:
            async with asyncio.timeout(self._timeout_s * 2):  # the thread's own waits are shorter, but are several
                await asyncio.get_running_loop().run_in_executor(_THREADS, self._hand_in, message)
        except TimeoutError:
            raise DeliveryError(f"{self._where()} did not answer in time") from None
        except smtplib.SMTPAuthenticationError as error:
            raise DeliveryError(
                f"{self._where()} does not take the user and the password ({error.smtp_code})"
            ) from None
        except smtplib.SMTPRecipientsRefused as error:
            said = "; ".join(f"{code} {_text(text)}" for code, text in error.recipients.values())
            raise DeliveryError(f"{self._where()} does not take mail for {self._to}: {said}") from None
        except smtplib.SMTPResponseException as error:
            raise DeliveryError(f"{self._where()} answered {error.smtp_code} {_text(error.smtp_error)}") from None
        except smtplib.SMTPNotSupportedError:
            raise DeliveryError(f"{self._where()} does not offer STARTTLS or the log-in that is asked for") from None
        except (smtplib.SMTPException, OSError, ValueError) as error:
            why = os_words(error) if isinstance(error, OSError) and error.errno else type(error).__name__
            raise DeliveryError(f"{self._where()} cannot be used: {why}") from None

    def _where(self) -> str:
        return f"the mail server {self._server.host}:{self._server.port}"

    def _message(self, it: Delivery) -> EmailMessage:
        """The end of an alert answers its opening, so that readers show both together; doubles have the same id."""
        message = EmailMessage()
        domain = self._sender.rpartition("@")[2]
        at = it.closed_at if it.what == CLOSED and it.closed_at else it.opened_at
        message["Subject"] = " ".join(f"[tidegate] {headline(it)}".split())
        message["From"], message["To"], message["Date"] = self._sender, self._to, format_datetime(at)
        message["Message-ID"] = f"<{it.key}@{domain}>"
        if it.what == CLOSED:
            message["In-Reply-To"] = message["References"] = f"<{it.thread}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(self._body(it))
        return message

    def _body(self, it: Delivery) -> str:
        opened = f"Alert {it.alert_id}, opened {it.opened_at:%Y-%m-%d %H:%M} UTC"
        over = f"Over at {it.closed_at:%Y-%m-%d %H:%M} UTC: {it.close_reason}.\n\n" if it.what == CLOSED else ""
        where = f"\n{self._manager}" if self._manager else ""
        return f"{over}{it.text}\n\n-- \n{opened}.{in_place_of(it)}{where}\n"

    def _hand_in(self, message: EmailMessage) -> None:
        server = self._server
        with self._connected() as smtp:
            if server.security == "starttls":
                smtp.starttls(context=self._tls)
            if server.user:
                smtp.login(server.user, server.password)
            smtp.send_message(message, self._sender, [self._to])

    def _connected(self) -> smtplib.SMTP:
        server = self._server
        if server.security == "tls":
            return smtplib.SMTP_SSL(server.host, server.port, timeout=self._timeout_s, context=self._tls)
        return smtplib.SMTP(server.host, server.port, timeout=self._timeout_s)


def _text(said: bytes | str) -> str:
    line = said.decode(errors="replace") if isinstance(said, bytes) else said
    return " ".join(line.split())[:_WORDS]
