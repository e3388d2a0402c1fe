"""Addresses that lead nowhere: who came there with a browser is told on a page."""

from http import HTTPStatus

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from tidegate.manager.api.handlers import answer_of
from tidegate.manager.api.router import API
from tidegate.manager.console.page import problem_page


def tell_on_pages(app: FastAPI) -> None:
    """Have what is no route answered with a page where a page was asked for."""
    app.add_exception_handler(HTTPException, _stray)


async def _stray(request: Request, error: Exception) -> Response:
    found = await answer_of(request, error)
    assert found is not None  # noqa: S101 - it has an answer to each of these
    wants_page = "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(f"{API}/")
    return problem_page(request, found) if wants_page and found.status_code == HTTPStatus.NOT_FOUND else found
