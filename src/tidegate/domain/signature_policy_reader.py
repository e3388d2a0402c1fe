"""Reads a signature policy from TOML; every fault is a sentence that names the file, the rule and the remedy."""

import tomllib
from collections.abc import Mapping
from typing import Any

from tidegate.domain.signature_policy import SignaturePolicy, SignaturePolicyError, SignatureRule, scope_of
from tidegate.domain.values import near_miss

_ALLOW, _REFUSE = "allow", "refuse"
_TEXTS = ("repository", "key", "identity", "issuer")
_LOG = "transparency-log"
TOP_FIELDS = ("image", "unlisted")
FIELDS = (*_TEXTS, _LOG)
_TAKES = "a repository without a tag, such as ghcr.io/acme/web, or ghcr.io/acme/* for all beneath, or * for all"


def read_signature_policy(text: str, source: str) -> SignaturePolicy:
    """The policy that `text`, the contents of the file `source`, holds. Raises `SignaturePolicyError`."""
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SignaturePolicyError([f"{source} is not TOML: {error}. Correct it there."]) from None
    faults = [_unknown(name, TOP_FIELDS, source) for name in document if name not in TOP_FIELDS]
    unlisted = document.get("unlisted", _REFUSE)
    if unlisted not in (_ALLOW, _REFUSE):
        faults.append(f'{source}: unlisted is {unlisted!r}; write "{_ALLOW}" or "{_REFUSE}".')
    tables = document.get("image", [])
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        faults.append(f"{source} has no rule: write [[image]], and beneath it a repository and a key.")
        tables = []
    rules = [_rule(table, f"{source}: {_title(table, number)}", faults) for number, table in enumerate(tables, 1)]
    if faults:
        raise SignaturePolicyError(faults)
    return SignaturePolicy(tuple(rule for rule in rules if rule), refuse_unlisted=unlisted == _REFUSE, source=source)


def _title(table: Mapping[str, Any], number: int) -> str:
    repository = table.get("repository")
    return f"[[image]] {number} ({repository})" if isinstance(repository, str) else f"[[image]] {number}"


def _unknown(name: str, known: tuple[str, ...], where: str) -> str:
    near = near_miss(name, list(known))
    return f"{where}: {name} is not known; take it out, or use one of {', '.join(known)}.{near}"


def _rule(table: Mapping[str, Any], where: str, faults: list[str]) -> SignatureRule | None:
    """One rule; None where `faults` has been given a sentence about it."""
    found = [_unknown(name, FIELDS, where) for name in table if name not in FIELDS]
    found += [
        f"{where}: {name} is {table[name]!r}; write a text that is not empty."
        for name in _TEXTS
        if name in table and not (isinstance(table[name], str) and table[name].strip())
    ]
    log = table.get(_LOG, True)
    if not isinstance(log, bool):
        found.append(f"{where}: {_LOG} is {log!r}; write true or false.")
    found += [] if found else _contradictions(table, where)
    faults += found
    if found:
        return None
    texts = {name: table.get(name, "") for name in _TEXTS}
    return SignatureRule(scope=scope_of(texts["repository"]), transparency_log=log, **texts)


def _contradictions(table: Mapping[str, Any], where: str) -> list[str]:
    """What is missing or too much, in fields that are each well written."""
    found = []
    if "repository" not in table:
        found.append(f"{where} names no repository; it takes {_TAKES}.")
    else:
        try:
            scope_of(table["repository"])
        except ValueError:
            found.append(f"{where}: repository is {table['repository']!r}; it takes {_TAKES}.")
    certificate = [name for name in ("identity", "issuer") if name in table]
    if "key" in table and certificate:
        found.append(f"{where} has a key and an {certificate[0]}: keep one; a second signer is a second [[image]].")
    elif "key" not in table and certificate != ["identity", "issuer"]:
        found.append(f"{where} does not say who signs: give it a key, or an identity and its issuer.")
    return found
