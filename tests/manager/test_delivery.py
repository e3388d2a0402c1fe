"""Alerts are sent to real receivers: at least once, signed, with back-off, by one of several replicas."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import select, update
from structlog.testing import capture_logs
from tests.support.fleet_rows import NOON, add
from tests.support.registry_tls import Certificates, make_certificates
from tests.support.smtp import MailServer, mail_server
from tests.support.web_server import WebServer

from tidegate.manager.store import schema
from tidegate.manager.store.database import Database
from tidegate.manager.telling import delivery
from tidegate.manager.telling.delivery import ATTEMPTS, Deliverer, delay_s
from tidegate.manager.telling.delivery_rows import CLOSED, OPENED, announce
from tidegate.manager.telling.sinks import mail
from tidegate.manager.telling.sinks.apprise import AppriseError, AppriseSink
from tidegate.manager.telling.sinks.mail import Mail
from tidegate.manager.telling.sinks.sink import Sink, trusting
from tidegate.manager.telling.sinks.webhook import Webhook, signature

SECRET = "swordfish"
APPRISE = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # it imports that


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Receiver:
    """Takes what is posted to it. `answers` are given first; then it answers 204."""

    url: str = ""
    taken: list[tuple[web.Request, bytes]] = field(default_factory=list)
    answers: list[web.Response] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.taken.append((request, await request.read()))
        return self.answers.pop(0) if self.answers else web.Response(status=204)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    it = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", it.take)
    server = WebServer(app)
    await server.start_server()
    it.url = str(server.make_url("/hook/token-123"))
    yield it
    await server.close()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


def context(certificates: Certificates) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificates.certificate, certificates.key)
    return made


def webhook(url: str, time: Time, **more: Any) -> Webhook:
    given: dict[str, Any] = {"secret": SECRET, "tls": trusting(None), "clock": time}
    return Webhook(url, **given | more)


def deliverer(db: Database, time: Time, *sinks: Sink) -> Deliverer:
    return Deliverer(db, time, sinks, spread=lambda: 0.0)


async def alert(db: Database, *sinks: Sink, text: str = "web is down", **data: Any) -> int:
    """An open alert that these are to be told of."""
    async with db.write() as conn:
        row = {"rule": "rollout_paused", "subject": "rollout 1", "severity": "critical", "data": data}
        id_ = await add(conn, schema.alerts, **row, text=text, opened_at=NOON)
        await announce(conn, id_, OPENED, [one.name for one in sinks], NOON)
    return id_


async def over(db: Database, id_: int, time: Time, *sinks: Sink) -> None:
    async with db.write() as conn:
        values = {"closed_at": time.now, "close_reason": "it is not paused any more"}
        await conn.execute(update(schema.alerts).where(schema.alerts.c.id == id_).values(values))
        await announce(conn, id_, CLOSED, [one.name for one in sinks], time.now)


async def rows(db: Database) -> list[Any]:
    async with db.read() as conn:
        return list((await conn.execute(select(schema.deliveries).order_by(schema.deliveries.c.id))).all())


# how it goes


async def test_an_alert_is_posted_once_and_signed(db: Database, receiver: Receiver, time: Time) -> None:
    sink = webhook(receiver.url, time, manager="https://tidegate.example.com")
    it = deliverer(db, time, sink)
    await alert(db, sink)
    await it.send_due()
    await it.send_due()
    ((request, body),) = receiver.taken
    sent = await _json(request, body)
    assert sent["event"] == "alert.opened"
    assert (sent["text"], sent["manager"]) == ("web is down", "https://tidegate.example.com")
    assert sent["alert"]["opened_at"] == "2026-11-25T12:00:00Z"
    assert request.headers["Idempotency-Key"] == sent["key"]
    assert request.headers["Tidegate-Signature"] == signature(SECRET, str(int(NOON.timestamp())), body)
    assert it.results == {("webhook", "sent"): 1}


async def _json(request: web.Request, body: bytes) -> Any:
    assert request.content_type == "application/json"
    return json.loads(body)


def test_the_signature_is_what_openssl_makes_of_it() -> None:
    # printf '1700000000.{}' | openssl dgst -sha256 -hmac s
    known = "e9232c9945da8456c2dea6b39da7786c07b00bca7a64d5dd1283674713a7b72a"
    assert signature("s", "1700000000", b"{}") == f"sha256={known}"


async def test_what_was_not_taken_is_sent_again_later_with_the_same_key(
    db: Database, receiver: Receiver, time: Time
) -> None:
    receiver.answers = [web.Response(status=500), web.Response(status=429, headers={"Retry-After": "120"})]
    sink = webhook(receiver.url, time)
    it = deliverer(db, time, sink)
    await alert(db, sink)
    seen = []
    for wait in (0, 4, 1, 119, 1):
        time.passes(wait)
        await it.send_due()
        seen.append(len(receiver.taken))
    assert seen == [1, 1, 2, 2, 3]
    assert len({request.headers["Idempotency-Key"] for request, _ in receiver.taken}) == 1
    (row,) = await rows(db)
    assert (row.attempts, row.trouble, row.next_at, row.done_at) == (3, "", None, time.now)


async def test_the_end_is_told_after_the_opening_was(db: Database, receiver: Receiver, time: Time) -> None:
    receiver.answers = [web.Response(status=503)]
    sink = webhook(receiver.url, time)
    it = deliverer(db, time, sink)
    await over(db, await alert(db, sink), time, sink)
    await it.send_due()
    assert len(receiver.taken) == 1
    time.passes(5)
    await it.send_due()
    events = [(await _json(*one))["event"] for one in receiver.taken]
    assert events == ["alert.opened", "alert.opened", "alert.closed"]
    closed = (await _json(*receiver.taken[-1]))["alert"]
    assert (closed["closed_at"], closed["close_reason"]) == ("2026-11-25T12:00:00Z", "it is not paused any more")


async def test_one_in_the_place_of_another_names_that_one(db: Database, receiver: Receiver, time: Time) -> None:
    sink = webhook(receiver.url, time)
    it = deliverer(db, time, sink)
    await over(db, await alert(db, sink), time, sink)
    await alert(db, sink, replaces=7)
    await it.send_due()
    await it.send_due()
    posted = [await _json(*one) for one in receiver.taken]
    assert {(one["event"], one["alert"]["replaces"]) for one in posted} == {
        ("alert.opened", None),
        ("alert.closed", None),
        ("alert.opened", 7),
    }


async def test_it_is_given_up_at_last_and_said_so(db: Database, receiver: Receiver, time: Time) -> None:
    receiver.answers = [web.Response(status=500) for _ in range(ATTEMPTS + 5)]
    sink = webhook(receiver.url, time)
    it = deliverer(db, time, sink)
    await alert(db, sink)
    with capture_logs() as logs:
        for _ in range(ATTEMPTS + 5):
            await it.send_due()
            time.passes(3600)
    assert len(receiver.taken) == ATTEMPTS
    assert it.results["webhook", "given_up"] == 1
    assert [one["event"] for one in logs if one["log_level"] == "error"] == [
        "an alert could not be sent and is given up"
    ]
    (row,) = await rows(db)
    assert (row.done_at is not None, row.trouble) == (True, "it answered 500")


async def test_one_receiver_that_fails_does_not_hold_up_another(db: Database, receiver: Receiver, time: Time) -> None:
    dead, alive = webhook("http://127.0.0.1:1/x", time), webhook(receiver.url, time)
    await alert(db, dead, alive)
    await deliverer(db, time, dead, alive).send_due()
    assert [row.done_at is not None for row in await rows(db)] == [False, True]


async def test_of_several_replicas_one_sends(db: Database, receiver: Receiver, time: Time) -> None:
    sink = webhook(receiver.url, time)
    replicas = [deliverer(db, time, sink) for _ in range(5)]
    for _ in range(6):
        await alert(db, sink)
        async with db.write() as conn:
            await conn.execute(update(schema.alerts).values(closed_at=NOON))
    await asyncio.gather(*(one.send_due() for one in replicas))
    assert len(receiver.taken) == 6


async def test_what_a_replica_took_that_died_is_sent_by_another(db: Database, receiver: Receiver, time: Time) -> None:
    sink = webhook(receiver.url, time)
    await alert(db, sink)
    assert len(await deliverer(db, time, sink)._claim()) == 1  # and it dies
    other = deliverer(db, time, sink)
    await other.send_due()
    assert receiver.taken == []
    time.passes(120)
    await other.send_due()
    assert len(receiver.taken) == 1


async def test_what_is_for_nobody_any_more_is_left_after_a_while(db: Database, receiver: Receiver, time: Time) -> None:
    await alert(db, webhook(receiver.url, time))
    it = deliverer(db, time)
    await it.send_due()
    assert (await rows(db))[0].done_at is None
    time.passes(3601)
    await it.send_due()
    assert (await rows(db))[0].trouble == "the settings do not name it any more"


async def test_it_is_sent_as_soon_as_it_is_written(
    db: Database, receiver: Receiver, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_LOOK_S", 3600.0)
    sink = webhook(receiver.url, time)
    task = asyncio.create_task(deliverer(db, time, sink).run())
    await asyncio.sleep(0)
    await alert(db, sink)
    async with asyncio.timeout(40):
        while not receiver.taken:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])


def test_the_waits_grow_and_are_spread() -> None:
    assert [delay_s(attempt, 0, 0) for attempt in (1, 2, 3, 7, 20)] == [5, 15, 60, 3600, 3600]
    assert (delay_s(1, 90, 0), delay_s(1, 0, 1)) == (90, 6)


# webhooks


async def test_an_answer_that_points_elsewhere_is_not_followed(db: Database, receiver: Receiver, time: Time) -> None:
    receiver.answers = [web.Response(status=307, headers={"Location": receiver.url + "/else"})]
    sink = webhook(receiver.url, time)
    await alert(db, sink)
    await deliverer(db, time, sink).send_due()
    assert len(receiver.taken) == 1
    assert (await rows(db))[0].trouble == "it answered 307, which points elsewhere and is not followed"


async def test_who_does_not_answer_is_not_waited_for(db: Database, time: Time) -> None:
    async with mail_server() as silent:
        silent.stays_silent = True
        sink = webhook(f"http://127.0.0.1:{silent.port}/token-123", time, timeout_s=0.2)
        await alert(db, sink)
        await deliverer(db, time, sink).send_due()
    assert (await rows(db))[0].trouble == "it did not answer within 0.2 s"


async def test_neither_address_nor_secret_are_in_logs_or_in_the_database(db: Database, time: Time) -> None:
    sinks = [webhook("http://127.0.0.1:1/token-123", time), webhook("http://no.such.host.invalid/token-123", time)]
    await alert(db, *sinks)
    with capture_logs() as logs:
        await deliverer(db, time, *sinks).send_due()
    told = f"{logs} {await rows(db)} {sinks[0].name}"
    assert "cannot be reached" in told
    assert "token-123" not in told
    assert SECRET not in told


# mail


def mail_sink(server: MailServer, certificates: Certificates | None, **more: Any) -> Mail:
    security = more.pop("security", "starttls")
    where = mail.MailServer("127.0.0.1", server.port, security, more.pop("user", ""), more.pop("password", ""))
    given: dict[str, Any] = {"tls": trusting(certificates.authority if certificates else None), "timeout_s": 5.0}
    return Mail(where, "tidegate@example.com", "night@example.com", **given | more)


async def send(db: Database, time: Time, sink: Mail) -> str:
    """Send an alert; what the trouble was."""
    await alert(db, sink, text="é: web is down\n.\nread the log")
    await deliverer(db, time, sink).send_due()
    return str((await rows(db))[-1].trouble)


async def test_an_alert_is_mailed_over_starttls_with_a_log_in(
    db: Database, time: Time, certificates: Certificates
) -> None:
    async with mail_server(tls=context(certificates), user="tide", password="p:@/") as server:
        sink = mail_sink(server, certificates, user="tide", password="p:@/", manager="https://tidegate.example.com")
        id_ = await alert(db, sink, text="é: web is down\n.\nread the log")
        await deliverer(db, time, sink).send_due()
        await over(db, id_, time, sink)
        await deliverer(db, time, sink).send_due()
    opened, closed = server.letters
    assert (opened.sender, opened.to, opened.secure) == ("tidegate@example.com", ["night@example.com"], True)
    assert opened.message["Subject"] == "[tidegate] critical: rollout_paused rollout 1"
    assert opened.message.get_content().splitlines()[:3] == ["é: web is down", ".", "read the log"]
    assert closed.message["Subject"] == "[tidegate] over: rollout_paused rollout 1"
    assert closed.message["In-Reply-To"] == opened.message["Message-ID"]
    assert closed.message["Message-ID"] != opened.message["Message-ID"]
    assert server.commands.index("STARTTLS") < server.commands.index("AUTH") < server.commands.index("MAIL")


async def test_a_server_that_does_not_answer_holds_up_nobody_who_writes(db: Database, time: Time) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
    async with mail_server() as silent:
        silent.stays_silent = True
        sinks = [mail_sink(silent, None, security="none", timeout_s=10.0) for _ in range(4)]
        for number, sink in enumerate(sinks):
            sink.name = f"mail {number}"
        await alert(db, *sinks)
        sending = asyncio.create_task(deliverer(db, time, *sinks).send_due())
        while silent.talks < 2:
            await asyncio.sleep(0.01)
        async with asyncio.timeout(8):
            await asyncio.to_thread(int)
            async with db.write() as conn:
                await conn.execute(update(schema.alerts).values(text="written meanwhile"))
        assert not sending.done()
        await sending


async def test_an_alert_is_mailed_over_tls(db: Database, time: Time, certificates: Certificates) -> None:
    async with mail_server(tls=context(certificates), implicit=True) as server:
        assert await send(db, time, mail_sink(server, certificates, security="tls")) == ""
    assert [one.secure for one in server.letters] == [True]


async def test_a_server_without_starttls_gets_neither_mail_nor_password(
    db: Database, time: Time, certificates: Certificates
) -> None:
    async with mail_server(user="tide", password=SECRET) as server:
        trouble = await send(db, time, mail_sink(server, certificates, user="tide", password=SECRET))
    assert "does not offer STARTTLS" in trouble
    assert (server.letters, set(server.commands)) == ([], {"EHLO", "STARTTLS", "QUIT"} & set(server.commands))


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    db: Database, time: Time, certificates: Certificates
) -> None:
    async with mail_server(tls=context(certificates)) as server:
        trouble = await send(db, time, mail_sink(server, None))
    assert "cannot be used" in trouble
    assert server.letters == []


async def test_a_wrong_password_is_told_without_the_password(
    db: Database, time: Time, certificates: Certificates
) -> None:
    async with mail_server(tls=context(certificates), user="tide", password="right") as server:
        trouble = await send(db, time, mail_sink(server, certificates, user="tide", password=SECRET))
    assert trouble == f"the mail server 127.0.0.1:{server.port} does not take the user and the password (535)"


async def test_mail_that_is_not_taken_now_is_sent_again_with_the_same_id(
    db: Database, time: Time, certificates: Certificates
) -> None:
    async with mail_server(tls=context(certificates)) as server:
        server.answers = {"RCPT": ["451 greylisted,\ttry again"]}
        sink = mail_sink(server, certificates)
        it = deliverer(db, time, sink)
        await alert(db, sink)
        await it.send_due()
        assert (await rows(db))[0].trouble.endswith(
            "does not take mail for night@example.com: 451 greylisted, try again"
        )
        time.passes(5)
        await it.send_due()
    assert len(server.letters) == 1


async def test_a_mail_server_that_says_nothing_is_not_waited_for(db: Database, time: Time) -> None:
    async with mail_server() as server:
        server.stays_silent = True
        trouble = await send(db, time, mail_sink(server, None, security="none", timeout_s=0.2))
    assert trouble


async def test_a_mail_server_that_is_not_there_is_told(db: Database, time: Time) -> None:
    trouble = await send(db, time, mail_sink(MailServer(port=1), None))
    assert trouble == "the mail server 127.0.0.1:1 cannot be used: Connection refused"


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("smtp://mail.example.com", mail.MailServer("mail.example.com", 587, "starttls")),
        ("smtps://u%40x:p%2F@mail.example.com", mail.MailServer("mail.example.com", 465, "tls", "u@x", "p/")),
        ("smtp+insecure://localhost:2525", mail.MailServer("localhost", 2525, "none")),
    ],
)
def test_a_mail_server_is_read_from_its_address(url: str, wanted: mail.MailServer) -> None:
    assert mail.mail_server(url) == wanted
    assert "p/" not in repr(mail.mail_server(url))


# Apprise


@APPRISE
async def test_apprise_sends_what_it_knows_how_to(db: Database, receiver: Receiver, time: Time) -> None:
    sink = AppriseSink(receiver.url.replace("http://", "json://"))
    await alert(db, sink)
    await deliverer(db, time, sink).send_due()
    ((request, body),) = receiver.taken
    assert (await _json(request, body))["message"] == "web is down"
    assert "token-123" not in sink.name


@APPRISE
async def test_what_apprise_could_not_send_is_sent_again(db: Database, receiver: Receiver, time: Time) -> None:
    receiver.answers = [web.Response(status=500)]
    sink = AppriseSink(receiver.url.replace("http://", "json://"))
    await alert(db, sink)
    await deliverer(db, time, sink).send_due()
    assert (await rows(db))[0].trouble == "Apprise could not send it"


@APPRISE
def test_what_apprise_does_not_know_is_refused_without_telling_it() -> None:
    with pytest.raises(AppriseError, match=r"begins with nosuch:") as caught:
        AppriseSink("nosuch://user:token-123@host")
    assert "token-123" not in str(caught.value)
