"""Keys for programs, on both databases."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from serving.identity.keys import KeyRequestError, list_keys, make_key, revoke_key, verify_key
from serving.identity.local import LOCAL, ensure_institution
from serving.policy import Action, Role
from serving.records import open_engine, upgrade


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    found = open_engine(database_url)
    upgrade(found)
    ensure_institution(found)
    yield found
    found.dispose()


def test_a_key_proves_what_it_was_made_for(engine: Engine) -> None:
    key = make_key(
        engine,
        label="village EHR",
        roles=[Role.SYSTEM],
        institution=LOCAL,
        scopes=[Action.SCORE_RISK],
    )

    verified = verify_key(engine, key)

    assert verified is not None
    assert verified.actor.roles == frozenset({Role.SYSTEM})
    assert verified.actor.institution == LOCAL
    assert verified.actor.scopes == frozenset({Action.SCORE_RISK})


def test_the_secret_is_not_kept(engine: Engine) -> None:
    key = make_key(engine, label="x", roles=[Role.SYSTEM])

    with engine.connect() as connection:
        stored = str(connection.execute(text("SELECT * FROM api_keys")).all())

    assert key.split("_", 2)[2] not in stored


def test_forged_expired_and_revoked_keys_prove_nothing(engine: Engine) -> None:
    key = make_key(engine, label="x", roles=[Role.SYSTEM])
    other = make_key(engine, label="y", roles=[Role.ADMINISTRATOR])
    _, key_id, secret = key.split("_", 2)
    forged = f"zz_{other.split('_')[1]}_{secret}"

    assert verify_key(engine, forged) is None
    for broken in ("", "zz_", key[:-1], key + "x", key.upper(), f"{key}\n", "zz_' OR 1=1 --_x"):
        assert verify_key(engine, broken) is None
    assert revoke_key(engine, key_id)
    assert verify_key(engine, key) is None
    assert not revoke_key(engine, key_id)
    passing = make_key(engine, label="z", roles=[Role.SYSTEM], valid_for=timedelta(microseconds=1))
    assert verify_key(engine, passing) is None
    assert [record.label for record in list_keys(engine)] == ["z", "y", "x"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"roles": []}, "no role"),
        ({"roles": [Role.SYSTEM], "institution": "nowhere"}, "no institution"),
        ({"roles": [Role.SYSTEM], "valid_for": timedelta(days=900)}, "expected up to"),
    ],
)
def test_what_cannot_be_is_told(engine: Engine, asked: dict[str, object], told: str) -> None:
    with pytest.raises(KeyRequestError, match=told):
        make_key(engine, label="x", **asked)  # type: ignore[arg-type]
