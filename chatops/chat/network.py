"""What a chat network is to those who write to it."""

from __future__ import annotations

from typing import Protocol

from chatops.chat.card import Card
from worker.errors import WinchError


class NetworkError(WinchError):
    """A chat network does not do what it was asked to; later it may."""


class TooFast(NetworkError):
    """The network wants to be left alone for so many seconds."""

    def __init__(self, message: str, seconds: float = 1.0) -> None:
        super().__init__(message, seconds)
        self.seconds = seconds


class Gone(NetworkError):
    """The room or the message is not there, or we may not write there: trying again is no use."""


class Network(Protocol):
    """How a network is written to. Ids are the network's own."""

    name: str
    pace: float  # seconds between two calls
    edit_pace: float  # seconds between two edits of one message

    def post(self, channel: str, card: Card, *, thread: str | None, key: str) -> tuple[str, str]:
        """Post a card; `key`: the same again is the same message, where a network knows that.

        Returns the channel (a direct message gets one of its own) and the message.

        Raises:
            NetworkError: it did not.
        """

    def edit(self, channel: str, message: str, card: Card) -> None:
        """Put another card in the place of one.

        Raises:
            NetworkError: it did not.
        """

    def private(self, identity: str) -> str | None:
        """Name the channel in which somebody is reached alone, if there is one."""
