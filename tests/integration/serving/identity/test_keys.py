"""Keys for programs, on both databases."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from serving.identity.errors import BearerRefusedError
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


def refusal(engine: Engine, key: str, later: timedelta = timedelta(0)) -> str:
    """Why a key is refused, which says nothing of the key."""
    with pytest.raises(BearerRefusedError) as refused:
        verify_key(engine, key, datetime.now(UTC) + later)
    assert not key or key not in str(refused.value)
    return refused.value.reason


def test_a_key_proves_what_it_was_made_for(engine: Engine) -> None:
    key = make_key(
        engine,
        label="village EHR",
        roles=[Role.SYSTEM],
        institution=LOCAL,
        scopes=[Action.SCORE_RISK],
    )

    verified = verify_key(engine, key, datetime.now(UTC))

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

    assert refusal(engine, forged) == "key_wrong_secret"
    assert refusal(engine, f"zz_{'0' * 16}_{secret}") == "key_unknown"
    for broken in ("", "zz_", key[:-1], key + "x", key.upper(), f"{key}\n", "zz_' OR 1=1 --_x"):
        assert refusal(engine, broken) == "key_malformed"
    assert revoke_key(engine, key_id)
    assert refusal(engine, key) == "key_revoked"
    assert not revoke_key(engine, key_id)
    passing = make_key(engine, label="z", roles=[Role.SYSTEM], valid_for=timedelta(microseconds=1))
    assert refusal(engine, passing) == "key_expired"
    assert [record.label for record in list_keys(engine)] == ["z", "y", "x"]


def test_a_clock_that_jumps_prolongs_no_key(engine: Engine) -> None:
    key = make_key(engine, label="x", roles=[Role.SYSTEM], valid_for=timedelta(days=1))

    assert refusal(engine, key, timedelta(days=2)) == "key_expired"
    assert refusal(engine, key, -timedelta(days=2)) == "key_from_the_future"
    # Clocks of two machines are never the same.
    verify_key(engine, key, datetime.now(UTC) - timedelta(seconds=30))


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
