"""Keeping texts of an image's config: short enough, fit for every database, and no secret in clear."""

import hashlib
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from tidegate.domain.masking import SECRET_NAME, USER_INFO

_LONGEST = 2000
_HEX = 16
# Slow on purpose (about 10 ms): who reads the database is not to try out passwords quickly.
_COST: dict[str, Any] = {"n": 2**12, "r": 8, "p": 1, "dklen": _HEX // 2}
_BLOCK: Final = 64
_MOST_ACCOUNTS: Final = 16
"""In one text; of one that has more, or is long, all is hashed at once."""
MOST_SECRETS: Final = 256
"""Of one image, which has a dozen: an image must not keep the manager busy for longer than a few seconds."""
_HIDDEN: Final = "(hidden)"


def kept(text: str) -> str:
    """A text as it is kept: of a long one the beginning, and a hash by which a change is seen."""
    clean = "".join("\ufffd" if letter == "\0" or "\ud800" <= letter <= "\udfff" else letter for letter in text)
    if len(clean) <= _LONGEST:
        return clean
    return f"{clean[:_LONGEST]}... ({len(text)} characters, sha256 {hashlib.sha256(clean.encode()).hexdigest()[:_HEX]})"


class Seal:
    """Keeps the secrets of one image in clear nowhere: hashes take their place, by which a change is seen.

    `salt` is the same for images that are compared: the repository. What an image has beyond `MOST_SECRETS` is hidden
    without a hash, so that no change of it is seen.
    """

    def __init__(self, salt: str) -> None:
        self._salt = salt
        self._hashed: set[tuple[bytes, bytes]] = set()

    def variable(self, entry: str) -> str:
        """An environment entry `NAME=VALUE` as it is kept: instead of what may be a secret, a hash of it."""
        name, equals, value = entry.partition("=")
        salt = f"{self._salt} {kept(name)}"
        if value and SECRET_NAME.search(name):
            return kept(f"{name}={self._hash(value, salt)}")
        return kept(f"{name}{equals}{self._without_accounts(value, salt)}")

    def text(self, text: str) -> str:
        """A text as it is kept, with a hash in place of each account inside an address: `amqp://me:password@queue`."""
        return kept(self._without_accounts(text, self._salt))

    def _without_accounts(self, text: str, salt: str) -> str:
        found = len(list(islice(USER_INFO.finditer(text), _MOST_ACCOUNTS + 1)))
        if found > _MOST_ACCOUNTS or (found and len(text) > _LONGEST):
            return self._hash(text, salt)
        return USER_INFO.sub(lambda account: self._hash(account[0], salt), text)

    def _hash(self, secret: str, salt: str) -> str:
        key = _short(secret), salt.encode(errors="surrogatepass")
        if key not in self._hashed and len(self._hashed) >= MOST_SECRETS:
            return _HIDDEN
        self._hashed.add(key)
        return _hash(*key)


def _short(secret: str) -> bytes:
    """What scrypt makes of a long secret first; so that the cache holds no long one."""
    data = secret.encode(errors="surrogatepass")
    return data if len(data) <= _BLOCK else hashlib.sha256(data).digest()


@lru_cache(maxsize=4096)
def _hash(secret: bytes, salt: bytes) -> str:
    return "hash:" + hashlib.scrypt(secret, salt=salt, **_COST).hex()
