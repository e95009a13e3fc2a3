"""The app: `make_app()`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from chatops.access import access_file
from chatops.api import freezing, looking, problems, runs, steering, watching
from chatops.api.context import Context
from chatops.api.limits import Buckets, Limits
from chatops.board.mount import mount_board
from chatops.desk import Desk
from chatops.events import Hub
from chatops.metrics import Metrics
from worker.app import engine as default_engine
from worker.engine import Engine
from worker.settings import settings

PREFIX = "/api/v1"

_ABOUT = """Everything that `winch` does at the command line. Errors are `application/problem+json`.
A token sees and steers what its role and scopes allow; what is beyond its scopes does not exist
for it."""


def make_app(
    engine: Engine | None = None,
    *,
    fleet: Path | None = None,
    access: Path | None = None,
    rate_limit: float | None = None,
    hub: Hub | None = None,
) -> FastAPI:
    """Make the web app; what is not given comes from the settings.

    `app.state.winch` is its `Context`. Further ways in add their routers to the app, and their way
    to know who asks to `Context.recognisers`.

    Raises:
        UsageError: the access file is not valid.
        ServiceError: the database does not answer.
    """
    used = engine or default_engine()
    rules = access_file(access)
    rules.current()  # an access file that is wrong is refused before anything is served
    rate = rate_limit or settings().rate_limit
    context = Context(
        desk=Desk(used, rules, fleet or settings().fleet),
        hub=hub or Hub(used.store),
        metrics=Metrics(used.store),
        by_token=Buckets(rate, 3 * rate),
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        context.hub.close()
        context.hub.shut_down()

    app = FastAPI(
        title="Winch",
        version="1",
        description=_ABOUT,
        lifespan=lifespan,
        docs_url=None,  # they would load scripts from elsewhere
        redoc_url=None,
    )
    app.state.winch = context
    problems.register(app)
    app.add_middleware(Limits)
    for module in (runs, steering, watching, looking, freezing):
        app.include_router(module.router, prefix=PREFIX)
    app.include_router(looking.probes, prefix=PREFIX)
    app.include_router(looking.probes, include_in_schema=False)
    mount_board(app)
    return app
