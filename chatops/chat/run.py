"""The processes of chat, in the foreground."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading

from chatops.chat.config import matrix_config, slack_config
from chatops.chat.talk import Talk
from chatops.chat.web import make_slack
from chatops.desk import Desk
from worker.errors import ServiceError, UsageError
from worker.settings import settings

log = logging.getLogger(__name__)


def run_slack(desk: Desk, stopping: threading.Event | None = None) -> None:
    """Listen to Slack by Socket Mode until SIGTERM or SIGINT.

    Raises:
        UsageError: a token is missing or refused.
        ServiceError: Slack does not answer.
    """
    config = slack_config()
    if config is None or config.app_token is None:
        raise UsageError(
            "Socket Mode needs WINCH_SLACK_APP_TOKEN_FILE (xapp-…) and _BOT_TOKEN_FILE"
        )
    slack = make_slack(desk, config)
    from slack_bolt.adapter.socket_mode import SocketModeHandler  # noqa: PLC0415 - optional
    from slack_sdk.errors import SlackApiError  # noqa: PLC0415 - optional

    stop = stopping or threading.Event()
    if stopping is None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
    handler = SocketModeHandler(slack.app, config.app_token)
    try:
        handler.connect()  # type: ignore[no-untyped-call]
    except SlackApiError as error:
        raise UsageError(f"slack: refused: {error.response.get('error')}") from None
    except OSError as error:
        raise ServiceError(f"slack: no answer: {error}") from None
    log.info("slack: listening by Socket Mode")
    slack.courier.start()
    try:
        stop.wait()
    finally:
        handler.close()  # type: ignore[no-untyped-call]
        slack.courier.stop()
        slack.close()


def run_matrix(desk: Desk) -> None:
    """Listen on a Matrix homeserver until SIGTERM or SIGINT.

    Raises:
        UsageError: something is missing, or the homeserver refuses us.
        ServiceError: the homeserver does not answer at the start.
    """
    config = matrix_config()
    try:
        from chatops.chat.matrix import LEAD, Matrix  # noqa: PLC0415 - optional
    except ModuleNotFoundError as error:
        raise UsageError(f"Matrix needs {error.name}: pip install 'winch[matrix]'") from None

    async def listen() -> None:
        matrix = Matrix(Talk(desk, "matrix", lead=LEAD), config, settings().state_dir / "matrix")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, matrix.stop)
        await matrix.run()

    asyncio.run(listen())
