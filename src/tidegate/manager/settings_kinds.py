"""Kinds of settings that only the manager has; the others are the agent's."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from tidegate.agent.settings_kinds import SECRET, Kind
from tidegate.domain.values import split_list
from tidegate.manager.oidc.address import is_safe
from tidegate.manager.people.roles import Role

_SIZE = re.compile(r"(\d{1,9}) ?(|KiB|MiB|GiB)", re.ASCII)
_UNITS = {"": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_RATE = re.compile(r"(\d{1,6})(?:/(s|m))?", re.ASCII)
_ADDRESS = re.compile(r"[^@\s,<>\x00-\x1f]+@[^@\s,<>\x00-\x1f]+")
_MINUTE_S = 60
_OR_FILE = ", or the path of a file that holds it"


def _database(text: str) -> str:
    text = SECRET.read(text)
    scheme = text.partition(":")[0].partition("+")[0]
    if scheme not in {"sqlite", "postgresql", "postgres"} or "://" not in text:
        raise ValueError("scheme")
    return text


def _file(text: str) -> Path:
    path = Path(text)
    try:
        with path.open("rb"):
            return path
    except OSError:
        raise ValueError(text) from None


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(item) for item in split_list(text))


def _url(text: str) -> str:
    parts = urlsplit(text)
    _ = parts.port  # raises ValueError where it is no port
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("url")
    return text.rstrip("/")


def _urls(text: str) -> tuple[str, ...]:
    return tuple(_url(item) for item in SECRET.read(text).split())


def _smtp(text: str) -> str:
    text = SECRET.read(text)
    parts = urlsplit(text)
    _ = parts.port
    if parts.scheme not in {"smtp", "smtps", "smtp+insecure"} or not parts.hostname:
        raise ValueError("smtp")
    return text


def _size(text: str) -> int:
    found = _SIZE.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise ValueError(text)
    return int(found[1]) * _UNITS[found[2]]


def _rate(text: str) -> float:
    found = _RATE.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise ValueError(text)
    return int(found[1]) / (_MINUTE_S if found[2] == "m" else 1)


def _address(text: str) -> str:
    if _ADDRESS.fullmatch(text) is None:
        raise ValueError(text)
    return text


def _addresses(text: str) -> tuple[str, ...]:
    return tuple(_address(item) for item in split_list(text))


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _issuer(text: str) -> str:
    """As it is: providers compare it letter by letter, a `/` at its end included."""
    if not is_safe(text) or set(text) & set(" ?#"):
        raise ValueError(text)
    return text


def _scopes(text: str) -> str:
    if "openid" not in text.split():
        raise ValueError(text)
    return " ".join(text.split())


def _roles(text: str) -> tuple[tuple[str, Role], ...]:
    """Pairs in their order. A value may hold `=`."""
    pairs = [item.rpartition("=") for item in split_list(text)]
    if not all(value.strip() for value, _, _ in pairs):
        raise ValueError(text)
    return tuple((value.strip(), Role(role.strip())) for value, _, role in pairs)


DATABASE = Kind(f"sqlite:///PATH or postgresql://USER@HOST/NAME{_OR_FILE}", _database)
FILE = Kind("the path of a file that can be read", _file)
NETWORKS = Kind("a comma list of addresses or networks, such as 10.0.0.0/8", _networks, ",")
URL = Kind("an address such as https://tidegate.example.com", _url)
URLS = Kind(f"addresses separated by blanks, such as https://chat.example.com/hook{_OR_FILE}", _urls, " ")
SMTP = Kind(
    "smtp://[USER:PASSWORD@]HOST[:PORT] (STARTTLS), smtps://... (TLS from the start) or smtp+insecure://..." + _OR_FILE,
    _smtp,
)
SIZE = Kind("a size such as 512KiB or 2MiB", _size)
RATE = Kind("a number a second or a minute, such as 50/s or 300/m", _rate)
ADDRESS = Kind("a mail address", _address)
ADDRESSES = Kind("a comma list of mail addresses", _addresses, ",")
WORDS = Kind("addresses separated by blanks", _words, " ")
ISSUER = Kind("an address that begins with https://, or of this machine with http://", _issuer)
SCOPES = Kind("scopes separated by blanks, `openid` among them", _scopes)
ROLES = Kind(f"a comma list such as ops=admin,sre=approver; the roles are {', '.join(Role)}", _roles, ",")
