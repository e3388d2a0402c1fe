"""What is wrong with a value of a request, in words that say what is accepted."""

from collections.abc import Iterable, Mapping, Sequence
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tidegate.domain.values import BOOL_TAKES, not_known
from tidegate.manager.api.models import MOMENT_TAKES, TAKES
from tidegate.manager.api.problems import Fault

Error = Mapping[str, Any]
"""One of pydantic's errors."""

_KEY = "[key]"
_WHOLE, _TEXT, _TRUTH = "it takes a whole number", "it takes text", f"it takes {BOOL_TAKES}"
_LIST, _DOCUMENT, _TIME = "it takes a list", "it takes a document of names and values", f"it takes {MOMENT_TAKES}"
_KINDS = {
    "int_parsing": _WHOLE,
    "int_type": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": f"it has too many digits; {_WHOLE}",
    "bool_parsing": _TRUTH,
    "bool_type": _TRUTH,
    "string_type": _TEXT,
    "string_unicode": _TEXT,
    "list_type": _LIST,
    "dict_type": _DOCUMENT,
    "model_type": _DOCUMENT,
    "model_attributes_type": _DOCUMENT,
    "datetime_parsing": _TIME,
    "datetime_from_date_parsing": _TIME,
    "datetime_object_invalid": _TIME,
    "literal_error": "it takes {expected}",
    "enum": "it takes {expected}",
    "greater_than_equal": "it is below {ge}, the least that it takes",
    "less_than_equal": "it is above {le}, the most that it takes",
    "string_too_short": "its length is below {min_length}, the least that it takes",
    "string_too_long": "its length is above {max_length} characters, the most that it takes",
    "too_short": "it has fewer entries than {min_length}, the least that it takes",
    "too_long": "it has more entries than {max_length}, the most that it takes",
}
"""By the type of pydantic's error, with what its context gives."""


def faults(errors: Iterable[Error], body: Any = None) -> list[Fault]:
    """All of them; `body` is the type that the request's body is read as."""
    return [_fault(one, body) for one in errors]


def _fault(error: Error, body: Any) -> Fault:
    where, message = error["loc"], _message(error, body)
    if where[-1] == _KEY:
        where, message = where[:-2], f"the name {where[-2]!r}: {message}"
    return Fault(".".join(str(part) for part in where), message)


def _message(error: Error, body: Any) -> str:
    told = error.get("ctx", {})
    match error["type"]:
        case "missing":
            return _missing(_field(body, error["loc"][1:]))
        case "extra_forbidden":
            *within, name = error["loc"][1:]
            return not_known(str(name), _known(_type(body, within)))
        case "string_pattern_mismatch" if told["pattern"] in TAKES:
            return f"it takes {TAKES[told['pattern']]}"
        case kind:
            known = _KINDS.get(kind, "").format_map(told)
            return known or str(error["msg"]).removeprefix("Value error, ")


def _missing(field: FieldInfo | None) -> str:
    about = field.description if field is not None else None
    return f"it is missing: {about[0].lower()}{about[1:].rstrip('.')}" if about else "it is missing"


def _known(model: Any) -> list[str]:
    return sorted(model.model_fields) if model is not None else []


def _field(body: Any, path: Sequence[int | str]) -> FieldInfo | None:
    model = _type(body, path[:-1])
    return model.model_fields.get(str(path[-1])) if model is not None and path else None


def _type(annotation: Any, path: Sequence[int | str]) -> type[BaseModel] | None:
    """The model that stands at this path of a document of that type; None: there is none."""
    model = _model(annotation)
    for part in path:
        if isinstance(part, int):
            continue  # an entry of a list is of the type that was found in the list's
        field = model.model_fields.get(part) if model is not None else None
        model = _model(field.annotation) if field is not None else None
    return model


def _model(annotation: Any) -> type[BaseModel] | None:
    """The model in a type such as `list[Model] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model(one) for one in get_args(annotation) if one is not NoneType)
    return next((one for one in found if one is not None), None)
