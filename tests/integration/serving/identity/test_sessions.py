"""Sessions of browsers, on both databases and under clocks that jump."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from serving.identity import accounts, sessions
from serving.policy import Role

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)


@pytest.fixture
def account_id(engine: Engine) -> str:
    account, _ = accounts.add_account(
        engine, "li.ming", full_name="李 明", roles=[Role.AUDITOR], institution=None, now=NOW
    )
    return account.id


def test_a_session_proves_who_logged_in(engine: Engine, account_id: str) -> None:
    begun = sessions.begin_session(engine, account_id, NOW)

    verified = sessions.verify_session(engine, begun.token, NOW)

    assert verified is not None
    assert verified.actor.id == f"account:{account_id}"
    with engine.connect() as connection:
        assert begun.token not in str(connection.execute(text("SELECT * FROM sessions")).all())


def test_it_ends_when_idle_and_after_a_working_day(engine: Engine, account_id: str) -> None:
    token = sessions.begin_session(engine, account_id, NOW).token
    assert sessions.verify_session(engine, token, NOW + sessions.IDLE) is None

    now = NOW
    while now < NOW + sessions.LONGEST:
        assert sessions.verify_session(engine, token, now) is not None
        now += timedelta(minutes=25)
    assert sessions.verify_session(engine, token, now) is None


@pytest.mark.parametrize("jump", [timedelta(days=30), -timedelta(days=30), -timedelta(minutes=5)])
def test_a_clock_that_jumps_prolongs_nothing(
    engine: Engine, account_id: str, jump: timedelta
) -> None:
    token = sessions.begin_session(engine, account_id, NOW).token

    assert sessions.verify_session(engine, token, NOW + jump) is None


def test_logout_a_new_password_and_closing_end_it(engine: Engine, account_id: str) -> None:
    def begin() -> str:
        token = sessions.begin_session(engine, account_id, NOW).token
        assert sessions.verify_session(engine, token, NOW) is not None
        return token

    token = begin()
    sessions.end_session(engine, token)
    assert sessions.verify_session(engine, token, NOW) is None

    token = begin()
    accounts.reset_password(engine, account_id)
    assert sessions.verify_session(engine, token, NOW) is None

    token = begin()
    accounts.disable_account(engine, account_id, NOW)
    assert sessions.verify_session(engine, token, NOW) is None


@pytest.mark.parametrize("token", ["", "x", "a" * 43, "' OR 1=1 --"])
def test_what_we_did_not_give_is_no_session(engine: Engine, account_id: str, token: str) -> None:
    sessions.begin_session(engine, account_id, NOW)

    assert sessions.verify_session(engine, token, NOW) is None


def test_the_token_against_forged_requests_is_the_sessions_own(
    engine: Engine, account_id: str
) -> None:
    mine = sessions.begin_session(engine, account_id, NOW)
    other = sessions.begin_session(engine, account_id, NOW)

    assert not sessions.is_forged(mine.token, mine.csrf_token)
    for given in (None, "", other.csrf_token, mine.token, mine.csrf_token + "=", "é"):
        assert sessions.is_forged(mine.token, given)
