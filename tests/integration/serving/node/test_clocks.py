"""Clocks on the wall that jump by an hour, either way, while the steady one goes on."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import select

from serving.archive import Archive, Origin
from serving.jobs.completeness import QuietTimes, is_complete, open_studies
from serving.jobs.heartbeat import Heartbeat
from serving.jobs.tables import EXECUTORS
from serving.objects import open_objects
from serving.privacy import open_keyring
from serving.records import open_engine, upgrade
from serving.routing import Source
from tests.instance_samples import encoded, instance

HOUR = 3600.0
SOURCE = Source("ct", "local", quiet_time_s=15.0)


class Clock:
    """Shows what it is set to."""

    def __init__(self, shows: float) -> None:
        self.shows = shows

    def __call__(self) -> float:
        return self.shows


@pytest.fixture
def wall() -> Clock:
    return Clock(time.time())


@pytest.fixture
def steady() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def archive(tmp_path: Path, database_url: str, wall: Clock) -> Iterator[Archive]:
    keyring = open_keyring(tmp_path)
    engine = open_engine(database_url)
    upgrade(engine)
    found = Archive(engine, open_objects(tmp_path, keyring), keyring, clock=wall)
    yield found
    found.close()
    engine.dispose()


@pytest.mark.parametrize("jump_s", [HOUR, -HOUR])
def test_a_study_is_quiet_for_as_long_as_it_is(
    archive: Archive, wall: Clock, steady: Clock, jump_s: float
) -> None:
    quiet = QuietTimes(steady)

    def complete() -> list[bool]:
        with archive.engine.connect() as connection:
            studies = open_studies(connection)
        return [
            is_complete(study, SOURCE, quiet_s)
            for study, quiet_s in zip(studies, quiet.of(studies), strict=True)
        ]

    dataset = instance()
    archive.receive(encoded(dataset), str(ExplicitVRLittleEndian), Origin("local", "ct"))
    assert complete() == [False]
    wall.shows += jump_s
    steady.shows += 14.0
    assert complete() == [False]
    # One more begins the quiet time anew, whatever time it says it came.
    more = instance(
        StudyInstanceUID=dataset.StudyInstanceUID, SeriesInstanceUID=dataset.SeriesInstanceUID
    )
    archive.receive(encoded(more), str(ExplicitVRLittleEndian), Origin("local", "ct"))
    assert complete() == [False]
    steady.shows += 14.0
    assert complete() == [False]
    steady.shows += 1.0
    assert complete() == [True]


@pytest.mark.parametrize("jump_s", [HOUR, -HOUR])
def test_who_beats_lives_and_who_does_not_is_dead(
    archive: Archive, wall: Clock, steady: Clock, jump_s: float
) -> None:
    def heart(name: str) -> Heartbeat:
        return Heartbeat(archive, name, clock=wall, steady=steady)

    one, other = heart("one"), heart("other")
    dead: list[str] = []

    def pass_time(seconds: float, *beating: Heartbeat) -> None:
        for _ in range(int(seconds)):
            wall.shows += 1.0
            steady.shows += 1.0
            dead.extend(name for each in beating for name in each.beat())

    pass_time(30, one, other)
    wall.shows += jump_s
    pass_time(120, one, other)
    assert dead == []
    pass_time(59, one)
    assert dead == []
    pass_time(21, one)
    assert set(dead) == {"other"}
    one.bury("other")
    with archive.engine.connect() as connection:
        assert list(connection.scalars(select(EXECUTORS.c.id))) == ["one"]
