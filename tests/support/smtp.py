"""A mail server for tests: as much of SMTP as a client needs to hand mail in, with STARTTLS, TLS and a log-in."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class Letter:
    """One that was taken: from and to whom the server was told that it is, whether over TLS, and the message."""

    sender: str
    to: list[str]
    secure: bool
    message: EmailMessage


@dataclass
class MailServer:
    """What it has taken, and how it behaves. `answers` are given in place of its own, each once, by the command.

    `talks` is how many have come.
    """

    port: int = 0
    tls: ssl.SSLContext | None = None
    user: str = ""
    password: str = ""
    letters: list[Letter] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    answers: dict[str, list[str]] = field(default_factory=dict)
    stays_silent: bool = False
    talks: int = 0


@asynccontextmanager
async def mail_server(
    *, tls: ssl.SSLContext | None = None, implicit: bool = False, user: str = "", password: str = ""
) -> AsyncIterator[MailServer]:
    """Run one on a free port of 127.0.0.1; with `implicit` TLS comes first, else where it is asked for."""
    it = MailServer(tls=None if implicit else tls, user=user, password=password)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _Talk(it, reader, writer, secure=implicit).run()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls if implicit else None)
    it.port = server.sockets[0].getsockname()[1]
    async with server:
        yield it


class _Talk:
    def __init__(
        self, it: MailServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, secure: bool
    ) -> None:
        self._it, self._reader, self._writer, self._secure = it, reader, writer, secure
        self._sender, self._to = "", list[str]()
        self._known = not it.user

    async def run(self) -> None:
        self._it.talks += 1
        try:
            if self._it.stays_silent:
                await self._reader.read()
                return
            await self._say("220 test")
            while line := await self._reader.readline():
                command = line.decode().strip()
                self._it.commands.append(command.split()[0].upper())
                if not await self._obey(command):
                    break
        except (ConnectionError, ssl.SSLError):
            pass
        finally:
            self._writer.close()

    async def _say(self, *lines: str) -> None:
        self._writer.write("".join(f"{line}\r\n" for line in lines).encode())
        await self._writer.drain()

    async def _obey(self, command: str) -> bool:
        verb, _, rest = command.partition(" ")
        given = self._it.answers.get(verb.upper())
        if given:
            await self._say(given.pop(0))
            return True
        match verb.upper():
            case "EHLO":
                starttls = ["250-STARTTLS"] if self._it.tls and not self._secure else []
                await self._say("250-test", *starttls, *(["250-AUTH PLAIN"] if self._it.user else []), "250 SMTPUTF8")
            case "STARTTLS" if self._it.tls:
                await self._say("220 go on")
                await self._writer.start_tls(self._it.tls)
                self._secure = True
            case "AUTH":
                await self._log_in(rest)
            case "MAIL" if self._known:
                self._sender = _address(rest)
                await self._say("250 ok")
            case "RCPT":
                self._to.append(_address(rest))
                await self._say("250 ok")
            case "DATA":
                await self._take()
            case "RSET" | "NOOP":
                await self._say("250 ok")
            case "QUIT":
                await self._say("221 bye")
                return False
            case _:
                await self._say("530 log in first" if not self._known else "502 not known")
        return True

    async def _log_in(self, rest: str) -> None:
        _, user, password = base64.b64decode(rest.split()[1]).decode().split("\0")
        self._known = (user, password) == (self._it.user, self._it.password)
        await self._say("235 welcome" if self._known else f"535 {user} {password} is wrong")

    async def _take(self) -> None:
        await self._say("354 go on")
        data = (await self._reader.readuntil(b"\r\n.\r\n"))[:-5].replace(b"\r\n..", b"\r\n.")
        message = message_from_bytes(data, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self._it.letters.append(Letter(self._sender, self._to, self._secure, message))
        self._to = []
        await self._say("250 taken")


def _address(text: str) -> str:
    return text.partition("<")[2].partition(">")[0]
