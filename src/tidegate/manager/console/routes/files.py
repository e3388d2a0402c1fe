"""The console's own files."""

from typing import Annotated

from fastapi import Path, Request
from starlette.responses import Response

from tidegate.manager.api.access import anybody
from tidegate.manager.api.problems import not_found
from tidegate.manager.console.files import PREFIX, files
from tidegate.manager.console.router import console_router

router = console_router()
_KEPT = "public, max-age=31536000, immutable"


@router.get(f"{PREFIX}/{{mark}}/{{name}}", dependencies=[anybody("they are the same for everybody", counted=False)])
async def get_file(
    request: Request, mark: Annotated[str, Path(max_length=64)], name: Annotated[str, Path(max_length=64)]
) -> Response:
    """A file; where its content has changed, its address has."""
    found = files().find(mark, name)
    if found is None:
        raise not_found(f"file {name!r} of that content; load the page anew")
    headers = {"Cache-Control": _KEPT, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(found.packed, media_type=found.media_type, headers=headers)
    return Response(found.content, media_type=found.media_type, headers=headers)
