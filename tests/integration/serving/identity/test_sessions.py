"""Sessions of browsers, on both databases and under clocks that jump."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from serving.identity import accounts, sessions
from serving.identity.errors import CredentialRefusedError
from serving.policy import Role

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)


@pytest.fixture
def account_id(engine: Engine) -> str:
    account, _ = accounts.add_account(
        engine, "li.ming", full_name="李 明", roles=[Role.AUDITOR], institution=None, now=NOW
    )
    return account.id


def refusal(engine: Engine, token: str, now: datetime) -> str:
    """Why a session is refused."""
    with pytest.raises(CredentialRefusedError) as refused:
        sessions.verify_session(engine, token, now)
    return refused.value.reason


def test_a_session_proves_who_logged_in(engine: Engine, account_id: str) -> None:
    begun = sessions.begin_session(engine, account_id, NOW)

    verified = sessions.verify_session(engine, begun.token, NOW)

    assert verified.actor.id == f"account:{account_id}"
    with engine.connect() as connection:
        assert begun.token not in str(connection.execute(text("SELECT * FROM sessions")).all())


def test_it_ends_when_idle_and_after_a_working_day(engine: Engine, account_id: str) -> None:
    token = sessions.begin_session(engine, account_id, NOW).token
    assert refusal(engine, token, NOW + sessions.IDLE) == "session_idle"

    now = NOW
    while now < NOW + sessions.LONGEST:
        sessions.verify_session(engine, token, now)
        now += timedelta(minutes=25)
    assert refusal(engine, token, now) == "session_over"


@pytest.mark.parametrize(
    ("jump", "reason"),
    [
        (timedelta(days=30), "session_over"),
        (-timedelta(days=30), "session_from_the_future"),
        (-timedelta(minutes=5), "session_from_the_future"),
    ],
)
def test_a_clock_that_jumps_prolongs_nothing(
    engine: Engine, account_id: str, jump: timedelta, reason: str
) -> None:
    token = sessions.begin_session(engine, account_id, NOW).token

    assert refusal(engine, token, NOW + jump) == reason


def test_logout_a_new_password_and_closing_end_it(engine: Engine, account_id: str) -> None:
    def begin() -> str:
        token = sessions.begin_session(engine, account_id, NOW).token
        sessions.verify_session(engine, token, NOW)
        return token

    token = begin()
    sessions.end_session(engine, token)
    assert refusal(engine, token, NOW) == "session_unknown"

    token = begin()
    accounts.reset_password(engine, account_id)
    assert refusal(engine, token, NOW) == "session_unknown"

    token = begin()
    accounts.disable_account(engine, account_id, NOW)
    assert refusal(engine, token, NOW) == "session_unknown"


@pytest.mark.parametrize("token", ["", "x", "a" * 43, "' OR 1=1 --"])
def test_what_we_did_not_give_is_no_session(engine: Engine, account_id: str, token: str) -> None:
    sessions.begin_session(engine, account_id, NOW)

    assert refusal(engine, token, NOW) == "session_unknown"


def test_the_token_against_forged_requests_is_the_sessions_own(
    engine: Engine, account_id: str
) -> None:
    mine = sessions.begin_session(engine, account_id, NOW)
    other = sessions.begin_session(engine, account_id, NOW)

    assert not sessions.is_forged(mine.token, mine.csrf_token)
    for given in (None, "", other.csrf_token, mine.token, mine.csrf_token + "=", "é"):
        assert sessions.is_forged(mine.token, given)
