"""The app: every route, and what is around them."""

from fastapi import APIRouter, FastAPI

from tidegate import __version__
from tidegate.manager.api.counting import Counting
from tidegate.manager.api.handlers import add_handlers
from tidegate.manager.api.lane import Lane
from tidegate.manager.api.openapi import describe
from tidegate.manager.api.outermost import Outermost
from tidegate.manager.api.router import add_routes
from tidegate.manager.api.routes import (
    agent_link,
    agents,
    alerts,
    approvals,
    audit,
    channels,
    clusters,
    events,
    freezes,
    health,
    me,
    metrics,
    news,
    overview,
    policies,
    quarantine,
    releases,
    rollback,
    rollouts,
    status,
    targets,
    tokens,
    webhooks,
    windows,
)
from tidegate.manager.console.routes import agents as agent_pages
from tidegate.manager.console.routes import alerts as alert_pages
from tidegate.manager.console.routes import audit as audit_pages
from tidegate.manager.console.routes import calendar, calendar_rules, charts, fleet, live, oidc, sign_in
from tidegate.manager.console.routes import channels as channel_pages
from tidegate.manager.console.routes import clusters as cluster_pages
from tidegate.manager.console.routes import enrol as enrol_pages
from tidegate.manager.console.routes import files as console_files
from tidegate.manager.console.routes import quarantine as quarantine_pages
from tidegate.manager.console.routes import releases as release_pages
from tidegate.manager.console.routes import rollouts as rollout_pages
from tidegate.manager.console.routes import tokens as token_pages
from tidegate.manager.console.strays import tell_on_pages
from tidegate.manager.parts import Parts
from tidegate.manager.telling.parts import metrics as make_metrics

ROUTERS: tuple[APIRouter, ...] = (
    events.router,
    health.router,
    me.router,
    metrics.router,
    news.router,
    agent_link.router,
    agents.router,
    status.router,
    overview.router,
    clusters.router,
    targets.router,
    channels.router,
    policies.router,
    windows.router,
    freezes.router,
    quarantine.router,
    alerts.router,
    tokens.router,
    audit.router,
    releases.router,
    webhooks.router,
    rollouts.router,
    approvals.router,
    rollback.router,
)
"""Every router; a new one is added here."""


CONSOLE: tuple[APIRouter, ...] = (
    console_files.router,
    sign_in.router,
    oidc.router,
    live.router,
    fleet.router,
    rollout_pages.router,
    *(one.router for one in (quarantine_pages, alert_pages, agent_pages, enrol_pages, audit_pages, token_pages)),
    cluster_pages.router,
    release_pages.router,
    channel_pages.router,
    *(one.router for one in (calendar, calendar_rules, charts)),
)
"""Every router of pages."""


def create_app(parts: Parts) -> FastAPI:
    """An app of these parts. Raises `UndeclaredRouteError` where a route does not say who may use it."""
    app = FastAPI(title="Tidegate", version=__version__, openapi_url=None, docs_url=None, redoc_url=None)
    app.router.redirect_slashes = False
    app.state.parts = parts
    add_handlers(app)
    tell_on_pages(app)
    add_routes(app, (*ROUTERS, *CONSOLE))
    describe(app)
    app.add_middleware(Lane, router=agent_link.router, parts=parts)
    app.add_middleware(Outermost, stopping=parts.stopping)
    app.add_middleware(Counting, metrics=parts.one(make_metrics))
    return app
