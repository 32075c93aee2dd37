"""Listeners that are slow, and queues that are full, without a network between."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from serving.privacy import Keyring, open_keyring
from serving.problems import Problem
from serving.records import writing
from serving.worklist import channels as module
from serving.worklist import subscriptions
from serving.worklist.channels import Channel, Channels, Ended
from serving.worklist.items import Worklist
from serving.worklist.reports import GLOBAL
from serving.worklist.tables import CHANNELS, EVENTS

KEY = ("local", "DESK")


class Peer:
    """A connection whose other side reads `takes` messages, and then no more."""

    def __init__(self, takes: int) -> None:
        self._takes = takes
        self.heard: list[dict[str, Any]] = []
        self._leaves = asyncio.Event()

    async def send_text(self, data: str) -> None:
        if len(self.heard) == self._takes:
            await asyncio.Event().wait()
        self.heard.append(json.loads(data))
        if len(self.heard) == self._takes:
            self._leaves.set()

    async def receive(self) -> Any:
        await asyncio.Event().wait()


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return open_keyring(tmp_path)


def create(engine: Engine, keyring: Keyring, count: int) -> None:
    with writing(engine) as connection:
        for number in range(count):
            Worklist(connection, keyring, "local").create(f"1.2.{number}", {})


def subscribe(engine: Engine, keyring: Keyring, *, locked: bool) -> None:
    with writing(engine) as connection:
        Worklist(connection, keyring, "local").subscribe(GLOBAL, "DESK", locked=locked)


def waiting(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(EVENTS)).scalar_one())


async def stays() -> bool:
    return True


def test_what_a_slow_listener_did_not_take_waits(engine: Engine, keyring: Keyring) -> None:
    create(engine, keyring, 150)
    subscribe(engine, keyring, locked=True)

    async def listen() -> tuple[Peer, Ended]:
        channels, peer = Channels(engine, keyring, patience_s=0.3), Peer(takes=100)
        with channels.place(KEY) as channel:
            ended = await channels.serve(peer, channel, stays)
        await channels.close()
        return peer, ended

    peer, ended = asyncio.run(listen())
    assert ended is Ended.TOO_SLOW
    assert [each["00001000"]["Value"][0] for each in peer.heard] == [f"1.2.{n}" for n in range(100)]
    assert waiting(engine) == 50
    with engine.connect() as connection:
        assert connection.execute(select(CHANNELS)).all() == []


def test_a_full_queue_loses_its_oldest(
    engine: Engine, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "MOST_WAITING", 20)
    subscribe(engine, keyring, locked=False)
    create(engine, keyring, 50)
    with engine.connect() as connection:
        left = connection.execute(select(EVENTS.c.uid).order_by(EVENTS.c.id)).scalars().all()
    assert left == [f"1.2.{number}" for number in range(30, 50)]


def test_there_is_an_end_to_listeners_and_subscribers(
    engine: Engine, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_OF_INSTITUTION", 2)
    monkeypatch.setattr(subscriptions, "MOST_SUBSCRIBERS", 2)
    channels = Channels(engine, keyring)
    with channels.place(KEY), channels.place(("local", "OTHER")), channels.place(("far", "DESK")):
        with pytest.raises(Problem) as refused, channels.place(("local", "THIRD")):
            pass
        assert refused.value.status == 503
    with channels.place(("local", "THIRD")):
        pass
    with writing(engine) as connection:
        worklist = Worklist(connection, keyring, "local")
        for _ in range(2):
            worklist.subscribe(GLOBAL, "ONE", locked=False)
            worklist.subscribe(GLOBAL, "TWO", locked=False)
        with pytest.raises(Problem) as refused:
            worklist.subscribe(GLOBAL, "THREE", locked=False)
        assert refused.value.status == 409
        worklist.unsubscribe(GLOBAL, "ONE")
        worklist.subscribe(GLOBAL, "THREE", locked=False)


def test_a_restart_is_told_once(engine: Engine, keyring: Keyring) -> None:
    subscribe(engine, keyring, locked=False)

    async def restart() -> None:
        await Channels(engine, keyring).start()

    for _ in range(3):
        asyncio.run(restart())
    with engine.connect() as connection:
        assert [row.event for row in connection.execute(select(EVENTS))] == [4]
    assert Channel(KEY).id != Channel(KEY).id
