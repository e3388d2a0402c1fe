"""Where the commits between two revisions are shown. What images say of themselves is not trusted."""

import re

_PLACE = re.compile(r"(?:git\+)?https://(?P<host>[a-z0-9][a-z0-9.-]*)/(?P<path>[\w.-]+(?:/[\w.-]+)+)/?", re.ASCII)
_REVISION = re.compile(r"[0-9a-f]{7,64}")
_GITLAB = ("gitlab.com", "gitlab.")


def compare_link(source: str, before: str, after: str) -> str:
    """A page that compares two commits, for sources at GitHub and at a GitLab; else empty."""
    place = _PLACE.fullmatch(source)
    if place is None or not (_REVISION.fullmatch(before) and _REVISION.fullmatch(after)):
        return ""
    host, path = place["host"], place["path"].removesuffix(".git")
    if {".", ".."} & set(path.split("/")):
        return ""
    if host == "github.com" and path.count("/") == 1:
        return f"https://{host}/{path}/compare/{before}...{after}"
    if host.startswith(_GITLAB):
        return f"https://{host}/{path}/-/compare/{before}...{after}"
    return ""
