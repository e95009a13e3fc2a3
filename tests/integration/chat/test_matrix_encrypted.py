"""An encrypted room: the homeserver sees neither the question nor the answer."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from typing import Any

import pytest
from nio import AsyncClient, AsyncClientConfig, RoomMessageNotice, SyncResponse

from tests.integration.chat.bot import BOT, listening
from tests.integration.chat.homeserver import Homeserver, Person
from tests.integration.cli.conftest import Machine
from tests.kit.stack import until
from tests.needs import in_ci

ENCRYPTED = [
    {
        "type": "m.room.encryption",
        "state_key": "",
        "content": {"algorithm": "m.megolm.v1.aes-sha2"},
    }
]


@pytest.fixture(autouse=True)
def crypto() -> None:
    if importlib.util.find_spec("vodozemac") is None:
        message = "needs vodozemac: pip install 'matrix-nio[e2e]'"
        if in_ci():
            pytest.fail(message, pytrace=False)
        pytest.skip(message)


async def ask(server: Homeserver, alice: Person, room: str, text: str, directory: Path) -> str:
    """Ask as a client that encrypts; the answer, decrypted."""
    client = AsyncClient(
        server.url,
        alice.user,
        store_path=str(directory),
        config=AsyncClientConfig(encryption_enabled=True),
    )
    try:
        await client.login("correct horse", device_name="alice's")
        await sync(client)
        await client.room_send(
            room,
            "m.room.message",
            {"msgtype": "m.text", "body": text},
            ignore_unverified_devices=True,
        )
        async with asyncio.timeout(60):
            while True:
                for event in await sync(client, room):
                    if isinstance(event, RoomMessageNotice) and event.sender == BOT:
                        assert event.decrypted
                        return str(event.body)
    finally:
        await client.close()


async def sync(client: AsyncClient, room: str = "") -> list[Any]:
    """Sync once, and do what encryption needs; the new events of a room."""
    answer = await client.sync(1000, full_state=not room)
    assert isinstance(answer, SyncResponse)
    await client.send_to_device_messages()
    if client.should_upload_keys:
        await client.keys_upload()
    if client.should_query_keys:
        await client.keys_query()
    if client.should_claim_keys:
        await client.keys_claim(client.get_users_for_key_claiming())
    joined = answer.rooms.join.get(room)
    return [] if joined is None else list(joined.timeline.events)


def test_commands_and_answers_are_encrypted(
    machine: Machine, server: Homeserver, people: dict[str, Person], tmp_path: Path
) -> None:
    alice = people["alice"]
    with listening(machine, server) as log:
        room = alice.create_room(BOT, initial_state=ENCRYPTED)
        until(lambda: BOT in alice.members(room), seconds=30, what="winch joins", every=0.1)
        said = asyncio.run(ask(server, alice, room, "!winch help", tmp_path))
        assert "You are operator" in said, log.read_text()
        assert "!winch roll POOL" in said
    assert alice.events(room) == []  # nothing in the clear
