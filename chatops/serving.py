"""`winch web`: the app in uvicorn, in the foreground."""

from __future__ import annotations

from types import FrameType
from typing import Any

import uvicorn

from chatops.api.app import make_app
from chatops.chat.web import install_configured
from chatops.events import Hub
from worker.errors import ServiceError
from worker.logs import configure_logging
from worker.settings import settings

_GRACE = 10  # seconds that requests under way get at the end


class Server(uvicorn.Server):
    """Uvicorn, which lets the watchers of runs go first: they would never go by themselves."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._hub.close()
        super().handle_exit(sig, frame)


def make_server(app: Any, address: str, port: int) -> Server:
    """Make the server of an app."""
    config = uvicorn.Config(
        app,
        host=address,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
        timeout_keep_alive=75,  # longer than the proxies before it keep theirs
    )
    return Server(config, app.state.winch.hub)


def serve(address: str, port: int) -> None:
    """Serve until told to stop.

    Raises:
        ServiceError: the address cannot be bound, or the database is not there.
    """
    configure_logging(settings().log_format)
    app = make_app()
    install_configured(app, app.state.winch.desk)
    server = make_server(app, address, port)
    try:
        server.run()
    except SystemExit as error:  # uvicorn's way to say that it could not start
        raise ServiceError(
            f"cannot serve on {address}:{port}; is another one there? Set WINCH_WEB_PORT"
        ) from error
