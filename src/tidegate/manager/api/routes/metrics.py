"""What Prometheus reads."""

from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from tidegate.manager.api.access import needs
from tidegate.manager.api.change import PartsHere
from tidegate.manager.api.router import router as make_router
from tidegate.manager.people.roles import Permission
from tidegate.manager.telling.parts import metrics

router = make_router("metrics", prefix="")
_SAYS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Prometheus' text format; docs/metrics.md tells what each means.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}


_ACCESS = needs(Permission.READ, opened_by=lambda settings: settings.metrics_public)


@router.head("/metrics", response_class=Response, dependencies=[_ACCESS], include_in_schema=False)
@router.get("/metrics", response_class=Response, responses=_SAYS, dependencies=[_ACCESS])
async def read_metrics(parts: PartsHere) -> Response:
    """Read the metrics; with a token, unless TIDEGATE_METRICS_PUBLIC says that none is asked for."""
    return Response(await parts.one(metrics).exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})
