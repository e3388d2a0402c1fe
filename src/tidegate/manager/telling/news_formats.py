"""News as Atom (RFC 4287) and as JSON Feed 1.1."""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from tidegate.manager.telling.news import News, name_of

ATOM_TYPE: Final = "application/atom+xml"
JSON_TYPE: Final = "application/feed+json"
_ATOM: Final = "http://www.w3.org/2005/Atom"
_JSON_FEED: Final = "https://jsonfeed.org/version/1.1"
_AUTHOR: Final = "Tidegate"
_STRING: Final[dict[str, Any]] = {"type": "string"}
_AUTHORS: Final[dict[str, Any]] = {
    "type": "array",
    "items": {"type": "object", "properties": {"name": _STRING}, "required": ["name"]},
}
_ITEM: Final[dict[str, Any]] = {
    "id": _STRING,
    "url": _STRING,
    "title": _STRING,
    "content_text": _STRING,
    "date_published": _STRING | {"format": "date-time"},
    "date_modified": _STRING | {"format": "date-time"},
    "tags": {"type": "array", "items": _STRING},
}
_FEED: Final[dict[str, Any]] = {
    "version": _STRING,
    "title": _STRING,
    "home_page_url": _STRING,
    "feed_url": _STRING,
    "authors": _AUTHORS,
    "items": {
        "type": "array",
        "items": {"type": "object", "properties": _ITEM | {"authors": _AUTHORS}, "required": list(_ITEM)},
    },
}
JSON_SCHEMA: Final[dict[str, Any]] = {"type": "object", "properties": _FEED, "required": list(_FEED)}
"""What `json_feed` writes, as a JSON Schema; an item has authors where somebody is known."""
_NO_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What an XML document cannot have, however it is written."""
_NOTHING_YET: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""When a feed that has nothing was changed last."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A whole feed. `address` is its own, `home` the console's, both absolute."""

    title: str
    address: str
    home: str
    items: Sequence[News]

    @property
    def updated(self) -> datetime | None:
        """When something of it was changed last; None: there is nothing."""
        return max((one.updated for one in self.items), default=None)


def atom(feed: Feed) -> bytes:
    """The feed as Atom."""
    root = ET.Element("feed", {"xmlns": _ATOM})
    _texts(root, id=name_of(feed.address), title=feed.title, updated=_time(feed.updated or _NOTHING_YET))
    ET.SubElement(root, "link", {"rel": "self", "type": ATOM_TYPE, "href": feed.address})
    ET.SubElement(root, "link", {"rel": "alternate", "type": "text/html", "href": f"{feed.home}/"})
    _texts(ET.SubElement(root, "author"), name=_AUTHOR)
    for one in feed.items:
        _entry(ET.SubElement(root, "entry"), one, feed.home)
    found: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return found


def json_feed(feed: Feed) -> bytes:
    """The feed as JSON Feed."""
    document = {
        "version": _JSON_FEED,
        "title": feed.title,
        "home_page_url": f"{feed.home}/",
        "feed_url": feed.address,
        "authors": [{"name": _AUTHOR}],
        "items": [_item(one, feed.home) for one in feed.items],
    }
    return json.dumps(document, ensure_ascii=False).encode()


def _entry(entry: ET.Element, one: News, home: str) -> None:
    _texts(entry, id=one.id, title=one.title, published=_time(one.at), updated=_time(one.updated))
    ET.SubElement(entry, "link", {"rel": "alternate", "type": "text/html", "href": f"{home}{one.path}"})
    if one.by:
        _texts(ET.SubElement(entry, "author"), name=one.by)
    ET.SubElement(entry, "category", {"term": one.kind})
    _texts(entry, summary=one.text)


def _item(one: News, home: str) -> dict[str, Any]:
    item = {
        "id": one.id,
        "url": f"{home}{one.path}",
        "title": one.title,
        "content_text": one.text,
        "date_published": _time(one.at),
        "date_modified": _time(one.updated),
        "tags": [one.kind],
    }
    return item | ({"authors": [{"name": one.by}]} if one.by else {})


def _texts(parent: ET.Element, **texts: str) -> None:
    for tag, text in texts.items():
        ET.SubElement(parent, tag).text = _NO_XML.sub("\ufffd", text)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
