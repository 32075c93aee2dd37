"""Accounts, their passwords and second factors, on both databases."""

import re
import threading
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
from sqlalchemy import Engine, text

from serving.identity import accounts
from serving.identity.account_records import Account
from serving.identity.accounts import AccountError, LoginRefusedError
from serving.identity.errors import CredentialRefusedError
from serving.identity.passwords import PasswordRefusedError
from serving.identity.sessions import begin_session, verify_session
from serving.policy import Action, Role

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
NEW = "correct horse battery staple"


def an_account(engine: Engine, name: str = "li.ming") -> tuple[Account, str]:
    return accounts.add_account(
        engine, name, full_name="李 明", roles=[Role.SPECIALIST], institution="county", now=NOW
    )


def log_in(
    engine: Engine,
    password: str,
    *,
    name: str = "li.ming",
    code: str | None = None,
    now: datetime = NOW,
) -> Account:
    return accounts.log_in(engine, name, password, code, now)


def refused(engine: Engine, password: str, **how: object) -> str:
    with pytest.raises(LoginRefusedError) as error:
        log_in(engine, password, **how)  # type: ignore[arg-type]
    assert "李" not in str(error.value)
    return error.value.reason


def test_a_new_account_can_change_its_password_and_nothing_else(engine: Engine) -> None:
    account, first = an_account(engine)

    actor = accounts.actor_of(log_in(engine, first, name=" Li.Ming "))
    assert actor.scopes == frozenset({Action.MANAGE_OWN_ACCOUNT, Action.READ_OWN_ACCOUNT})

    accounts.change_password(engine, account.id, first, NEW, NOW)
    actor = accounts.actor_of(log_in(engine, NEW))
    assert actor.scopes is None
    assert (actor.id, actor.institution) == (f"account:{account.id}", "county")
    assert refused(engine, first) == "password"


@pytest.mark.slow
def test_the_password_is_kept_as_argon2id_alone(engine: Engine) -> None:
    _, first = an_account(engine)

    with engine.connect() as connection:
        kept = connection.execute(text("SELECT * FROM accounts")).one()._mapping

    assert re.match(r"\$argon2id\$v=19\$m=65536,t=3,p=4\$", kept["password_hash"])
    assert first not in str(dict(kept))


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "a" * 40,
        "li.ming12345",
        "password1234",
        "zhuzhen admin",
        "abcabcabcabcabc",
        "x1y2z" * 60,
    ],
)
def test_a_password_that_others_try_first_is_refused(engine: Engine, password: str) -> None:
    account, first = an_account(engine)

    with pytest.raises(PasswordRefusedError) as error:
        accounts.change_password(engine, account.id, first, password, NOW)
    assert password not in str(error.value)


def test_guesses_lock_the_account_for_longer_and_longer(engine: Engine) -> None:
    _, right = an_account(engine)
    for _ in range(5):
        assert refused(engine, "wrong") == "password"

    assert refused(engine, right) == "locked"
    after = NOW + timedelta(seconds=31)
    assert refused(engine, "wrong", now=after) == "password"
    assert refused(engine, right, now=after + timedelta(seconds=31)) == "locked"
    log_in(engine, right, now=after + timedelta(seconds=61))
    assert refused(engine, "wrong", now=after) == "password"


def test_a_lock_of_a_clock_that_was_set_back_does_not_last(engine: Engine) -> None:
    _, right = an_account(engine)
    ahead = NOW + timedelta(days=400)
    for _ in range(5):
        refused(engine, "wrong", now=ahead)

    assert refused(engine, right, now=ahead) == "locked"
    log_in(engine, right, now=NOW)


def test_guesses_at_the_same_time_are_all_counted(engine: Engine) -> None:
    an_account(engine)
    guesses = [
        threading.Thread(target=refused, args=(engine, f"guess {number}")) for number in range(4)
    ]
    for guess in guesses:
        guess.start()
    for guess in guesses:
        guess.join()

    assert accounts.find_account(engine, "li.ming").failures == 4


def test_who_is_not_there_looks_like_who_is(engine: Engine) -> None:
    an_account(engine)
    told = set()
    for name in ("li.ming", "nobody", "' OR 1=1 --", "李明", "li.ming\x00"):
        with pytest.raises(LoginRefusedError) as error:
            log_in(engine, "wrong", name=name.replace("\x00", ""))
        told.add(str(error.value))
    assert len(told) == 1


def test_a_closed_account_is_closed(engine: Engine) -> None:
    account, right = an_account(engine)
    accounts.disable_account(engine, "li.ming", NOW)

    assert refused(engine, right) == "disabled"
    assert accounts.find_account(engine, account.id).disabled_at == NOW


def test_a_reset_unlocks_and_must_be_changed(engine: Engine) -> None:
    an_account(engine)
    for _ in range(6):
        refused(engine, "wrong")

    fresh = accounts.reset_password(engine, "li.ming")

    assert log_in(engine, fresh).must_change_password


def test_a_second_factor_counts_once_it_was_confirmed(engine: Engine) -> None:
    account, right = an_account(engine)
    uri = accounts.enrol_second_factor(engine, account.id, right, NOW)
    totp = pyotp.TOTP(parse_qs(urlsplit(uri).query)["secret"][0])
    log_in(engine, right)

    before = begin_session(engine, account.id, NOW).token
    with pytest.raises(LoginRefusedError):
        accounts.confirm_second_factor(engine, account.id, "000000", NOW)
    verify_session(engine, before, NOW)
    accounts.confirm_second_factor(engine, account.id, totp.at(NOW), NOW)
    with pytest.raises(CredentialRefusedError):
        verify_session(engine, before, NOW)

    later = NOW + timedelta(minutes=1)
    assert refused(engine, right, now=later) == "code"
    assert refused(engine, "wrong", code=totp.at(later), now=later) == "password"
    log_in(engine, right, code=totp.at(later), now=later)
    # Neither twice, nor an earlier one, nor after the clock was set back.
    assert refused(engine, right, code=totp.at(later), now=later) == "code"
    assert refused(engine, right, code=totp.at(NOW), now=NOW) == "code"
    with pytest.raises(AccountError):
        accounts.enrol_second_factor(engine, account.id, right, later)

    accounts.remove_second_factor(engine, "li.ming")
    log_in(engine, right, now=later + timedelta(hours=1))


def test_a_session_is_no_way_to_the_password(engine: Engine) -> None:
    """Who has taken over somebody's session guesses no more often than at the login."""
    account, right = an_account(engine)
    for guess in range(5):
        with pytest.raises(LoginRefusedError, match="not right"):
            accounts.enrol_second_factor(engine, account.id, f"guess {guess}", NOW)

    with pytest.raises(LoginRefusedError) as refused:
        accounts.change_password(engine, account.id, right, NEW, NOW)
    assert refused.value.reason == "locked"
    later = NOW + timedelta(seconds=31)
    accounts.change_password(engine, account.id, right, NEW, later)
    log_in(engine, NEW, now=later)


def test_the_secret_of_the_second_factor_is_encrypted(engine: Engine) -> None:
    account, right = an_account(engine)
    uri = accounts.enrol_second_factor(engine, account.id, right, NOW)
    secret = parse_qs(urlsplit(uri).query)["secret"][0]

    with engine.connect() as connection:
        kept = connection.execute(text("SELECT totp_sealed FROM accounts")).scalar_one()

    assert secret not in kept


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "Li Ming"}, "name is not one"),
        ({"name": "li.ming"}, "already"),
        ({"roles": []}, "no role"),
        ({"roles": [Role.SYSTEM]}, "no role"),
        ({"institution": None}, "for an institution"),
        ({"institution": "nowhere"}, "no institution"),
    ],
)
def test_what_cannot_be_an_account_is_told(
    engine: Engine, changes: dict[str, object], told: str
) -> None:
    an_account(engine)
    wanted = {"name": "wang.fang", "roles": [Role.SPECIALIST], "institution": "county"} | changes
    name = str(wanted.pop("name"))
    with pytest.raises(AccountError, match=told):
        accounts.add_account(engine, name, full_name="王 芳", now=NOW, **wanted)  # type: ignore[arg-type]
