"""Image references: what people write after `image:`, taken apart by Docker's own rules."""

import re
from dataclasses import dataclass

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"
_OFFICIAL = "library/"
# Older tools write Docker Hub this way; Docker reads it as docker.io.
_LEGACY_REGISTRY = "index.docker.io"
_MAX_REPOSITORY = 255
_MAX_HOST_LABEL = 63
_LAST_PORT = 65535
_HEX_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}

_HOST_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_REGISTRY = re.compile(rf"(?:{_HOST_LABEL}(?:\.{_HOST_LABEL})*|\[[a-fA-F0-9:]+\])(?::(?P<port>[0-9]+))?")
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_IMAGE_ID = re.compile(r"(?:sha256:)?[a-f0-9]{64}")
_HEX = re.compile(r"[a-f0-9]+")


class InvalidReferenceError(ValueError):
    """`text` is not an image reference; `why` is the reason as a clause."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(text, why)
        self.text = text
        self.why = why

    def __str__(self) -> str:
        return f"{self.text!r} is not an image reference: {self.why}"


@dataclass(frozen=True, slots=True)
class Reference:
    """One image name. `registry` is a host with an optional port; `repository` never starts with it.

    `tag` and `digest` are None where they are not written; no `latest` is made up (see `version`).
    """

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @property
    def name(self) -> str:
        """Registry and repository: what all tags and digests of it have in common."""
        return f"{self.registry}/{self.repository}"

    @property
    def familiar_name(self) -> str:
        """The name as people write it: without `docker.io/` and `library/`."""
        if self.registry != DEFAULT_REGISTRY:
            return self.name
        short = self.repository.removeprefix(_OFFICIAL)
        # `library/a/b` is not official, and a short name may read as a host, a tag or an id.
        return short if "/" not in short and _reads_back(short, self.repository) else self._hub_name()

    @property
    def familiar(self) -> str:
        """The whole reference as people write it."""
        text = self.familiar_name + self._suffix()
        # A repository called sha256 with a tag of 64 hex digits would read as an image id.
        return text if not is_image_id(text) else self.repository + self._suffix()

    @property
    def version(self) -> str:
        """What the registry is asked for: the digest, else the tag, else `latest`."""
        return self.digest or self.tag or DEFAULT_TAG

    @property
    def pinned(self) -> bool:
        """Whether it names one content for ever, so that nothing newer can appear under it."""
        return self.digest is not None

    def with_digest(self, digest: str) -> "Reference":
        """The same repository at one digest, without a tag. Raises `InvalidReferenceError`."""
        _check_digest(digest, f"{self.name}@{digest}")
        return Reference(self.registry, self.repository, None, digest)

    def _hub_name(self) -> str:
        return self.repository if _reads_back(self.repository, self.repository) else self.name

    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return tag + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        return self.name + self._suffix()


def is_image_id(text: str) -> bool:
    """Whether `text` is an image's id (`sha256:` and 64 hex digits, or these alone), not a name."""
    return _IMAGE_ID.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Whether `text` is a digest of a kind that can be verified: sha256, sha384 or sha512."""
    algorithm, _, digits = text.partition(":")
    return len(digits) == _HEX_LENGTHS.get(algorithm) and _HEX.fullmatch(digits) is not None


def parse_reference(text: str) -> Reference:
    """Take a reference apart as Docker does. Raises `InvalidReferenceError`."""
    if not text:
        raise InvalidReferenceError(text, "it is empty")
    if is_image_id(text):
        raise InvalidReferenceError(text, "it is an image id, which no registry can be asked about")
    rest, at, digest = text.partition("@")
    if at:
        _check_digest(digest, text)
    name, tag = _split_tag(rest)
    if tag is not None:
        _check_tag(tag, text)
    registry, repository = _split_registry(name)
    _check_registry(registry, text)
    _check_repository(repository, text)
    return Reference(registry, repository, tag, digest if at else None)


def match_image(pattern: str, reference: Reference) -> bool:
    """Whether Watchtower's image filter `pattern` means `reference`.

    A pattern without a tag matches every tag; one with a tag or digest only that. A registry's port is
    not a tag. Raises `InvalidReferenceError` for a pattern that is no reference.
    """
    wanted = parse_reference(pattern)
    if wanted.name != reference.name:
        return False
    if wanted.digest is not None:
        return wanted.digest == reference.digest
    return wanted.tag is None or wanted.tag == (reference.tag or DEFAULT_TAG)


def _split_tag(text: str) -> tuple[str, str | None]:
    """Only a colon after the last slash starts a tag: one before it starts a port."""
    name, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        return text, None
    return name, tag


def _split_registry(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if not slash or not _is_host(first):
        registry, repository = DEFAULT_REGISTRY, name
    else:
        registry, repository = first, rest
    if registry == _LEGACY_REGISTRY:
        registry = DEFAULT_REGISTRY
    if registry == DEFAULT_REGISTRY and "/" not in repository:
        repository = _OFFICIAL + repository
    return registry, repository


def _is_host(first: str) -> bool:
    """Docker's rule for the part before the first slash; repositories have no capitals, hosts may."""
    return "." in first or ":" in first or first == "localhost" or first != first.lower()


def _reads_back(short: str, repository: str) -> bool:
    """Whether `short` alone would be parsed to `repository` on Docker Hub again."""
    return not is_image_id(short) and _split_registry(short) == (DEFAULT_REGISTRY, repository)


def _check_registry(registry: str, text: str) -> None:
    found = _REGISTRY.fullmatch(registry)
    if found is None:
        raise InvalidReferenceError(text, f"{registry!r} is not a registry's host name")
    if any(len(label) > _MAX_HOST_LABEL for label in registry.partition(":")[0].split(".")):
        why = f"a part of the host name {registry!r} is longer than {_MAX_HOST_LABEL} characters"
        raise InvalidReferenceError(text, why)
    port = (found["port"] or "").lstrip("0")
    if len(port) > len(str(_LAST_PORT)) or int(port or "0") > _LAST_PORT:
        raise InvalidReferenceError(text, f"the port of {registry!r} is beyond {_LAST_PORT}")


def _check_repository(repository: str, text: str) -> None:
    if not repository.removeprefix(_OFFICIAL):
        raise InvalidReferenceError(text, "the repository is missing")
    if repository != repository.lower():
        raise InvalidReferenceError(text, f"the repository {repository!r} must be in lower case")
    if _REPOSITORY.fullmatch(repository) is None:
        why = f"the repository {repository!r} may have only a-z, 0-9 and single separators . _ - / between them"
        raise InvalidReferenceError(text, why)
    if len(repository) > _MAX_REPOSITORY:
        raise InvalidReferenceError(text, f"the repository is longer than {_MAX_REPOSITORY} characters")


def _check_tag(tag: str, text: str) -> None:
    if _TAG.fullmatch(tag) is None:
        raise InvalidReferenceError(
            text, f"the tag {tag!r} must be 1 to 128 of A-Z a-z 0-9 _ . - and not start with . or -"
        )


def _check_digest(digest: str, text: str) -> None:
    if not is_digest(digest):
        raise InvalidReferenceError(text, f"the digest {digest!r} must be sha256: and 64 hex digits")
