"""What is no one's business in a text that people are shown: secrets, as far as they can be told from other words."""

import json
import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote, unquote

MASK = "***"
MOST_OUTPUT = 8000
"""How many characters are kept, and told, of what a container wrote last."""
SECRET_NAME = re.compile(r"PASS|SECRET|TOKEN|KEY|CREDENTIAL|AUTH|PRIVATE|DSN|COOKIE|SALT|SIGNATURE", re.IGNORECASE)
USER_INFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_SHORTEST = 4
_SHORTEST_NUMBER = 6
_NO_SECRETS = frozenset({"true", "false", "none", "null", "disabled", "enabled", "default", "optional", "required"})
"""What variables with such names are set to (`AUTH_ENABLED`, `TOKEN_TTL`) and every second line of a log has."""

_NAME = r"pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?|cookie|dsn"
# every repetition has a limit: the text is whatever somebody's program wrote
_FORMS = (
    (
        re.compile(
            r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL
        ),
        MASK,
    ),
    (re.compile(r"\A(?:[A-Za-z0-9+/=]{16,100}\s{1,4}){1,200}-----END [A-Z ]{0,40}PRIVATE KEY-----"), MASK),
    (USER_INFO, MASK),
    (
        re.compile(r"(?i)(\b(?:proxy-)?authorization[\"']?\s{0,4}[:=]\s{0,4}[\"']?)(?:[a-z]{1,20}\s{1,4})?[^\s\"',;]+"),
        r"\1***",
    ),
    (re.compile(r"(?i)(\b(?:bearer|basic)\s{1,4})[a-z0-9._~+/=-]{8,}"), r"\1***"),
    (
        re.compile(
            rf"(?i)((?:{_NAME})[\w.-]{{0,40}}[\"']?\s{{0,4}}(?:=|:(?!//))\s{{0,4}})"
            r"(?:\"[^\"\n]{0,4000}\"?|'[^'\n]{0,4000}'?|[^\s,;&\"')}\]]+)"
        ),
        r"\1***",
    ),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), MASK),
    (
        re.compile(
            r"\b(?:gh[oprsu]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abeprs]-[\w-]{10,}|(?:AKIA|ASIA)[A-Z0-9]{16}"
            r"|AIza[\w-]{30,}|sk[-_][\w-]{16,}|npm_\w{30,}|dckr_pat_[\w-]{16,}|hv[bs]\.[\w-]{20,}|t[egs]_\d{1,18}_[\w-]{20,})"
        ),
        MASK,
    ),
)
"""What gives secrets away by its form, and what takes its place."""


def masked(text: str, variables: Mapping[str, str]) -> str:
    """A text without the secrets that can be told from it, each replaced by `***`.

    `variables` are those of the program that wrote it: the values of those with secret-looking names, and passwords in
    addresses, are found wherever they stand, also quoted as in JSON or an address.
    """
    for secret in sorted(set(_secrets(variables)), key=len, reverse=True):
        text = text.replace(secret, MASK)
    for form, instead in _FORMS:
        text = form.sub(instead, text)
    return text


def _secrets(variables: Mapping[str, str]) -> Iterator[str]:
    for name, value in variables.items():
        if SECRET_NAME.search(name):
            yield from _spellings(value)
            yield from (line for line in value.splitlines() if _is_one(line.strip()))
        for found in USER_INFO.findall(value):
            yield from _spellings(found.partition(":")[2])


def _spellings(value: str) -> Iterator[str]:
    """As it stands, and as it is written in JSON and in addresses."""
    for one in {value, value.strip(), json.dumps(value)[1:-1], quote(value, safe=""), unquote(value)}:
        if _is_one(one):
            yield one


def _is_one(value: str) -> bool:
    least = _SHORTEST_NUMBER if value.isdecimal() else _SHORTEST
    return len(value) >= least and value.lower() not in _NO_SECRETS
