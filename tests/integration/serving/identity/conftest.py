"""A database with three institutions, and the keys of an installation."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import argon2
import pytest
from sqlalchemy import Engine

from serving.identity import passwords
from serving.identity.institutions import add_institution, set_referrals
from serving.identity.records import Tier
from serving.privacy import Keyring, open_keyring
from serving.records import open_engine, upgrade

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def quick_passwords(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords with little work, but where a test is marked to be about the work."""
    if request.node.get_closest_marker("slow") is None:
        hasher = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
        monkeypatch.setattr(passwords, "_hasher", lambda: hasher)
        monkeypatch.setattr(passwords, "_nobodys", lambda: hasher.hash("nobody's"))


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """The records: a village that refers to a county, and another county."""
    found = open_engine(database_url)
    upgrade(found)
    for name, zh, tier in (
        ("village", "村卫生室", Tier.PRIMARY),
        ("county", "县医院", Tier.SECONDARY),
        ("other", "外县医院", Tier.SECONDARY),
    ):
        add_institution(found, name, name=name, name_zh=zh, tier=tier, now=NOW)
    set_referrals(found, "village", ["county"])
    yield found
    found.dispose()


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return open_keyring(tmp_path)
