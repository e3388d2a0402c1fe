"""How the text of a setting becomes a value; what each kind takes, in words."""

import errno
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tidegate.agent import schedule
from tidegate.domain.durations import EXAMPLES, parse_duration
from tidegate.domain.policy import Cut
from tidegate.domain.policy_reader import freeze_specs, parse_busy_then, parse_count, parse_strategy, window_specs
from tidegate.domain.reference import parse_reference
from tidegate.domain.values import BOOL_TAKES, parse_bool, split_list

_LONGEST_PREFIX = 27
_LAST_PORT = 65535
_API_VERSION = re.compile(r"v?(\d+\.\d+)", re.ASCII)
_AGENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_DIGITS = re.compile(r"\d{1,5}", re.ASCII)
_MOUNTED_SECRETS = "/run/secrets/"


@dataclass(frozen=True, slots=True)
class Kind:
    """`read` turns text into a value and raises ValueError; `takes` says in words what it accepts.

    `separator` joins the values of a flag that is given several times; where it is empty the last one counts.
    """

    takes: str
    read: Callable[[str], Any]
    separator: str = ""


def choice(*words: str) -> Kind:
    """One of these words."""

    def read(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(text)
        return text.lower()

    return Kind(f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else f"only {words[0]}", read)


def _positive(text: str) -> float:
    seconds = parse_duration(text)
    if seconds <= 0:
        raise ValueError(text)
    return seconds


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _host(text: str) -> str:
    parts = urlsplit(text)
    _ = parts.port  # raises ValueError where it is no port
    good = bool(parts.path) if parts.scheme == "unix" else bool(parts.hostname)
    if parts.scheme not in {"unix", "tcp", "http", "https"} or not good:
        raise ValueError(text)
    return text


def _repositories(text: str) -> tuple[str, ...]:
    names = split_list(text)
    if any(parse_reference(name).tag or parse_reference(name).digest for name in names):
        raise ValueError(text)
    return names


def _hosts(text: str) -> tuple[str, ...]:
    """Registries by host, each with or without a port; the scheme that people write before it is left out."""
    hosts = tuple(item.removeprefix("http://").rstrip("/") for item in split_list(text))
    for host in hosts:
        named = host if ":" in host else f"{host}:5000"
        if parse_reference(f"{named}/x").name != f"{named}/x":
            raise ValueError(text)
    return hosts


def _level(text: str) -> str:
    """As Watchtower's logging library reads it."""
    return "warn" if text.lower() == "warning" else LEVEL_WORDS.read(text)


def _api_version(text: str) -> str:
    found = _API_VERSION.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return found[1]


def _subnets(text: str) -> tuple[IPv4Network, ...]:
    networks = tuple(IPv4Network(item) for item in split_list(text))
    if not networks or any(network.prefixlen > _LONGEST_PREFIX for network in networks):
        raise ValueError(text)
    return networks


def _authorities(text: str) -> Path:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=text)
    except OSError:
        raise ValueError(text) from None
    return Path(text)


def _secret(text: str) -> str:
    """The text, or the contents of the file it names. A mounted secret that is missing is an error."""
    try:
        if _names_a_file(text):
            text = Path(text).read_text().strip()
        elif text.startswith(_MOUNTED_SECRETS):
            raise ValueError(text)
    except (OSError, UnicodeDecodeError):
        raise ValueError(text) from None
    if not text:
        raise ValueError("empty")
    return text


def _token(text: str) -> str:
    """A secret that goes into the header of a request, which is one line."""
    token = _secret(text)
    if not token.isprintable():
        raise ValueError(text)
    return token


def _names_a_file(text: str) -> bool:
    """What is longer than a path can be (a cloud registry's token is) names none."""
    try:
        return Path(text).is_file()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise


def _listen(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if _DIGITS.fullmatch(port) is None or int(port) > _LAST_PORT:
        raise ValueError(text)
    return host.strip("[]"), int(port)


def _manager(text: str) -> str:
    """The address without a path: the agent adds its own."""
    parts = urlsplit(text)
    _ = parts.port  # raises ValueError where it is no port
    more = parts.path.strip("/") or parts.query or parts.fragment or parts.username or parts.password
    if parts.scheme not in {"http", "https"} or not parts.hostname or more:
        raise ValueError(text)
    return f"{parts.scheme}://{parts.netloc}"


def _agent_name(text: str) -> str:
    if _AGENT_NAME.fullmatch(text) is None:
        raise ValueError(text)
    return text


TEXT = Kind("text", str)
MANAGER = Kind("an address such as https://tidegate.example.com, without a path", _manager)
AGENT_NAME = Kind("1 to 63 of A-Z a-z 0-9 . _ -, beginning with a letter or digit", _agent_name)
BOOL = Kind(BOOL_TAKES, parse_bool)
PRESENT = Kind("any value; false and 0 mean no", lambda text: text not in {"false", "0"})
COUNT = Kind("a whole number", parse_count)
DURATION = Kind(EXAMPLES, parse_duration)
INTERVAL = Kind(f"{EXAMPLES}, longer than nothing", _positive)
REPOSITORIES = Kind("a comma list of repositories, without tags, such as ghcr.io/acme/web", _repositories, ",")
LIST = Kind("a comma list", split_list, ",")
HOSTS = Kind("a comma list of HOST or HOST:PORT", _hosts, ",")
WORDS = Kind("a list separated by commas or blanks", _words, ",")
WINDOWS = Kind("`CRON DURATION [ZONE]`, several separated by `;`", window_specs, ";")
FREEZES = Kind("`FROM/TO [ZONE] [REASON]`, several separated by `;`", freeze_specs, ";")
HOST = Kind("an engine's address such as unix:///var/run/docker.sock or tcp://host:2376", _host)
API_VERSION = Kind("a version such as 1.41", _api_version)
PATH = Kind("a path", Path)
AUTHORITIES = Kind("a file of PEM certificates that can be read", _authorities)
SECRET = Kind("a value, or the path of a file that holds it and can be read", _secret)
TOKEN = Kind("a value of one line, or the path of a file that holds it and can be read", _token)
SUBNETS = Kind(f"a comma list of IPv4 networks of /{_LONGEST_PREFIX} or larger, such as 10.213.0.0/16", _subnets, ",")
LISTEN = Kind("an address such as :8080 or 127.0.0.1:8080", _listen)
ZONE = Kind("a time zone such as Europe/Rome", schedule.parse_zone)
SCHEDULE = Kind(schedule.TAKES, str)
STRATEGY = Kind("auto, start-first, swap or stop-first", parse_strategy)
CUT = Kind("graceful or fast", Cut)
BUSY_THEN = Kind("skip or force", parse_busy_then)
LEVEL_WORDS = choice("panic", "fatal", "error", "warn", "info", "debug", "trace")
LEVEL = Kind(f"{LEVEL_WORDS.takes}; warning is warn", _level)
