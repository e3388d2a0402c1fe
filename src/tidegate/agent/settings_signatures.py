"""The signature policy as a setting: its file, the keys it names, and the program that it needs."""

import shutil
from dataclasses import replace
from pathlib import Path

from tidegate.agent.cosign import PROGRAM
from tidegate.domain.signature_policy import SignaturePolicy, SignaturePolicyError, SignatureRule
from tidegate.domain.signature_policy_reader import read_signature_policy

VARIABLE = "TIDEGATE_SIGNATURES"


def load_signature_policy(file: Path, search_path: str | None) -> SignaturePolicy:
    """The policy in a file, its keys as whole paths; one that is not beneath / is beside the file.

    `search_path` is where cosign is looked for; None: where this process looks. Raises `SignaturePolicyError`.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SignaturePolicyError(
            [f"{VARIABLE} is {file}, which cannot be read ({why}): name a TOML file; in a container, mount it."]
        ) from error
    policy = read_signature_policy(text, str(file))
    folder = file.absolute().parent
    rules = tuple(replace(rule, key=str(folder / rule.key) if rule.key else "") for rule in policy.rules)
    faults = [fault for rule in rules if (fault := _fault_of_key(rule, policy.source))]
    if shutil.which(PROGRAM, path=search_path) is None:
        faults.append(
            f"{VARIABLE} is set, and {PROGRAM} is not on the PATH: install it where the agent runs, "
            f"or unset {VARIABLE}."
        )
    if faults:
        raise SignaturePolicyError(faults)
    return replace(policy, rules=rules)


def _fault_of_key(rule: SignatureRule, source: str) -> str | None:
    if not rule.key:
        return None
    where = f"{source}, rule {rule.repository}: {rule.key}"
    try:
        content = Path(rule.key).read_bytes()
    except OSError as error:
        return f"{where} cannot be read ({error.strerror}): put the public key there; in a container, mount it."
    if b"PRIVATE KEY-----" in content:
        return f"{where} is a private key: give the public one (cosign.pub), and keep this one away from the agent."
    if b"-----BEGIN PUBLIC KEY-----" not in content:
        return f"{where} is not a public key (PEM): give what `cosign generate-key-pair` writes to cosign.pub."
    return None
