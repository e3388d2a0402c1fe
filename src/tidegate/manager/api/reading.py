"""The OpenAPI document as a page for people to read: without a script, and without anything from elsewhere."""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

Schema = Mapping[str, Any]

_STYLE = """\
body { font: 1rem/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; border-bottom: 1px solid #ddd; padding: .2rem .6rem .2rem 0; }
h2 { margin-top: 3rem; border-bottom: 2px solid; }
h3 { margin-top: 2rem; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_REF = "#/components/schemas/"


def page(document: Mapping[str, Any]) -> str:
    """The page. Nothing of the document is taken for markup."""
    info, schemas = document["info"], document["components"]["schemas"]
    title = f"{info['title']} {info['version']}"
    tags = _by_tag(document["paths"])
    return "\n".join(
        (
            f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{escape(title)}</title>',
            f"<style>{_STYLE}</style></head>\n<body>\n<h1>{escape(title)}</h1>",
            *(f"<p>{_prose(part)}</p>" for part in info["description"].split("\n\n")),
            f"<p>{', '.join(_link(f'tag-{tag}', tag) for tag in tags)}, {_link('schemas', 'documents')}</p>",
            *(line for tag, operations in tags.items() for line in _tag(tag, operations)),
            '<h2 id="schemas">Documents</h2>',
            *(line for name, schema in sorted(schemas.items()) for line in _schema(name, schema)),
            "</body>\n</html>\n",
        )
    )


def _by_tag(paths: Mapping[str, Any]) -> dict[str, list[tuple[str, str, Schema]]]:
    found: dict[str, list[tuple[str, str, Schema]]] = {}
    for path, operations in paths.items():
        for method, one in operations.items():
            for tag in one["tags"]:
                found.setdefault(tag, []).append((method.upper(), path, one))
    return found


def _tag(tag: str, operations: Iterable[tuple[str, str, Schema]]) -> Iterator[str]:
    yield f'<h2 id="{_id(f"tag-{tag}")}">{escape(tag)}</h2>'
    for method, path, one in operations:
        yield f'<h3 id="{_id(one["operationId"])}"><code>{method} {escape(path)}</code></h3>'
        yield f"<p>{_prose(one['description'])} {_asks(one)}</p>"
        yield from _table(("parameter", "type", "about"), map(_parameter, one.get("parameters", ())))
        body = _content(one.get("requestBody", {}))
        if body:
            yield f"<p>Takes {_type(body)}.</p>"
            yield from _fields(body)
        yield from _table(("status", "answer", "about"), map(_answer, sorted(one["responses"].items())))


def _asks(operation: Schema) -> str:
    permission = operation.get("x-tidegate-permission")
    return f"Asks for a token that may <code>{escape(permission)}</code>." if permission else "Asks for no token."


def _parameter(it: Schema) -> tuple[str, str, str]:
    needed = ", needed" if it.get("required") else ""
    name = f"<code>{escape(it['name'])}</code> ({escape(it['in'])}{needed})"
    return name, _type(it["schema"]), _prose(it.get("description", ""))


def _answer(it: tuple[str, Schema]) -> tuple[str, str, str]:
    status, one = it
    schema = _content(one)
    return escape(status), _type(schema) if schema else "", _prose(one["description"])


def _content(one: Schema) -> Schema:
    return next((kind.get("schema", {}) for kind in one.get("content", {}).values()), {})


def _schema(name: str, schema: Schema) -> Iterator[str]:
    yield f'<h3 id="{_id(f"schema-{name}")}"><code>{escape(name)}</code></h3>'
    yield f"<p>{_prose(schema.get('description', ''))}</p>"
    if "properties" not in schema:
        yield f"<p>It is {_type(schema)}.</p>"
    yield from _fields(schema)


def _fields(schema: Schema) -> Iterator[str]:
    needed = schema.get("required", ())
    rows = (
        (
            f"<code>{escape(name)}</code>{', needed' if name in needed else ''}",
            _type(one),
            _prose(one.get("description", "")),
        )
        for name, one in schema.get("properties", {}).items()
    )
    yield from _table(("field", "type", "about"), rows)


def _type(schema: Schema) -> str:
    """What a value is, in words; another document as a link to it."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REF)
        return _link(f"schema-{name}", name)
    several = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    if several:
        return " or ".join(dict.fromkeys(_type(one) for one in several))
    if "enum" in schema:
        return " or ".join(f"<code>{escape(str(one))}</code>" for one in schema["enum"])
    if "contentSchema" in schema:
        return f"JSON as a string, of {_type(schema['contentSchema'])}"
    match schema.get("type"):
        case "array":
            return f"list of {_type(schema.get('items', {}))}"
        case None:
            return "anything"
        case kind:
            return escape(" ".join(part for part in (str(kind), schema.get("format", "")) if part))


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """A table of cells that are markup already; nothing where there are no rows."""
    lines = [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows]
    if lines:
        yield f"<table><tr>{''.join(f'<th>{one}</th>' for one in head)}</tr>"
        yield from lines
        yield "</table>"


def _link(to: str, text: str) -> str:
    return f'<a href="#{_id(to)}">{escape(text)}</a>'


def _id(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", text)


def _prose(text: str) -> str:
    """Text of the document; what stands between backticks is code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))
