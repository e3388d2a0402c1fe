"""Where commits of a revision, or between two, are shown. What images say of themselves is not trusted."""

import re

_PLACE = re.compile(r"(?:git\+)?https://(?P<host>[a-z0-9][a-z0-9.-]*)/(?P<path>[\w.-]+(?:/[\w.-]+)+)/?", re.ASCII)
_PAGE = re.compile(r"https://[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]{1,5})?(?:/[^\s\"'<>\\]*)?", re.ASCII)
_REVISION = re.compile(r"[0-9a-f]{7,64}")
_GITLAB = ("gitlab.com", "gitlab.")


def compare_link(source: str, before: str, after: str) -> str:
    """A page that compares two commits, for sources at GitHub and at a GitLab; else empty."""
    return _at(source, f"compare/{before}...{after}", before, after)


def commit_link(source: str, revision: str) -> str:
    """A page of one commit, for the same sources; else empty."""
    return _at(source, f"commit/{revision}", revision)


def source_link(source: str) -> str:
    """The page of a source, where that has an https address that says nothing of who reads it; else empty."""
    return source if _PAGE.fullmatch(source) else ""


def _at(source: str, page: str, *revisions: str) -> str:
    place = _PLACE.fullmatch(source)
    if place is None or not all(_REVISION.fullmatch(one) for one in revisions):
        return ""
    host, path = place["host"], place["path"].removesuffix(".git")
    if {".", ".."} & set(path.split("/")):
        return ""
    if host == "github.com" and path.count("/") == 1:
        return f"https://{host}/{path}/{page}"
    if host.startswith(_GITLAB):
        return f"https://{host}/{path}/-/{page}"
    return ""
