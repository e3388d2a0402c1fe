"""Keeping texts of an image's config: short enough, fit for every database, and no secret in clear."""

import hashlib
from functools import lru_cache
from typing import Any

from tidegate.domain.recreate_diff import SECRET_NAME, USER_INFO

_LONGEST = 2000
_HEX = 16
# Slow on purpose (about 10 ms): who reads the database is not to try out passwords quickly.
_COST: dict[str, Any] = {"n": 2**12, "r": 8, "p": 1, "dklen": _HEX // 2}


def kept(text: str) -> str:
    """A text as it is kept: of a long one the beginning, and a hash by which a change is seen."""
    clean = "".join("\ufffd" if letter == "\0" or "\ud800" <= letter <= "\udfff" else letter for letter in text)
    if len(clean) <= _LONGEST:
        return clean
    return f"{clean[:_LONGEST]}... ({len(text)} characters, sha256 {hashlib.sha256(clean.encode()).hexdigest()[:_HEX]})"


def variable(entry: str, salt: str) -> str:
    """An environment entry `NAME=VALUE` as it is kept: instead of what may be a secret, a hash of it.

    `salt` is the same for images that are compared: the repository.
    """
    name, equals, value = entry.partition("=")
    if value and SECRET_NAME.search(name):
        return kept(f"{name}={_hash(value, f'{salt} {name}')}")
    return kept(f"{name}{equals}{without_accounts(value, f'{salt} {name}')}")


def without_accounts(text: str, salt: str) -> str:
    """A text with a hash in place of each account inside an address, such as `amqp://me:password@queue`."""
    return USER_INFO.sub(lambda found: _hash(found[0], salt), text)


@lru_cache(maxsize=4096)
def _hash(secret: str, salt: str) -> str:
    data = secret.encode(errors="surrogatepass")
    return "hash:" + hashlib.scrypt(data, salt=salt.encode(errors="surrogatepass"), **_COST).hex()
