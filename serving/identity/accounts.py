"""Accounts of people: made, changed, closed, and logged in to."""

import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session

from models.errors import ZhuzhenError
from serving.identity import second_factor
from serving.identity.account_records import Account, BrowserSession
from serving.identity.errors import NO_INSTITUTION, RequestRefusedError
from serving.identity.known_browsers import STRANGER, Browser
from serving.identity.passwords import (
    fits,
    hash_password,
    is_outdated,
    new_password,
    require_strength,
)
from serving.identity.records import Institution
from serving.policy import Action, Actor, ActorKind, Role

NAME = re.compile(r"[a-z][a-z0-9._-]{1,62}[a-z0-9]")
_FREE_FAILURES = 5
"""Failed logins in a row before an account is locked for a time, for strangers."""
_FIRST_LOCK = timedelta(seconds=30)
LONGEST_LOCK = timedelta(minutes=15)
"""Each further failure doubles the time, up to this: nobody guesses at more than 100 a day. Who
goes on guessing keeps the lock up, for all browsers in which nobody has logged in to the account.
"""


class AccountError(RequestRefusedError):
    """An account cannot be made or changed as it was asked for."""


class LoginRefusedError(ZhuzhenError):
    """Somebody could not show who it is; why is told to the audit record alone."""

    def __init__(self, reason: str, account_id: str | None = None) -> None:
        super().__init__(
            "The name, the password or the code is not right, or the account is locked for a time "
            "after failed logins. / 用户名、口令或验证码不正确，或账户因多次失败暂时锁定。"
        )
        self.reason = reason
        """Machine name: `unknown`, `password`, `code`, `locked` or `disabled`."""
        self.account_id = account_id


def add_account(
    engine: Engine,
    name: str,
    *,
    full_name: str,
    roles: Iterable[Role],
    institution: str | None,
    now: datetime,
) -> tuple[Account, str]:
    """Make an account and return it with its first password, which must be changed.

    Raises:
        AccountError: saying what about the request cannot be.
    """
    granted = sorted(set(roles))
    _require_possible(name, granted, institution)
    password = new_password()
    account = Account(
        id=secrets.token_hex(8),
        name=name,
        full_name=full_name,
        institution_id=institution,
        roles=granted,
        password_hash=hash_password(password),
        must_change_password=True,
        totp_secret=None,
        totp_confirmed=False,
        totp_last_step=0,
        failures=0,
        locked_until=None,
        disabled_at=None,
        created_at=now,
    )
    with Session(engine, expire_on_commit=False) as session, session.begin():
        if institution is not None and session.get(Institution, institution) is None:
            raise AccountError(NO_INSTITUTION)
        if session.scalar(select(Account.id).where(Account.name == name)) is not None:
            raise AccountError("There is an account of this name already; choose another name.")
        session.add(account)
    return account, password


def _require_possible(name: str, roles: list[Role], institution: str | None) -> None:
    if not NAME.fullmatch(name):
        raise AccountError(
            "The name is not one; expected 3 to 64 lower-case letters, digits or any of ._- that "
            "begin with a letter."
        )
    if not roles or Role.SYSTEM in roles:
        raise AccountError("The account has no role of a person; give at least one.")
    treating = {Role.PRIMARY_CLINICIAN, Role.SPECIALIST} & set(roles)
    if treating and institution is None:
        raise AccountError("Who treats patients does so for an institution; name it.")


def list_accounts(engine: Engine) -> list[Account]:
    """Return all accounts by name."""
    with Session(engine, expire_on_commit=False) as session:
        return list(session.scalars(select(Account).order_by(Account.name)))


def count_accounts(engine: Engine) -> int:
    """Return how many accounts there are."""
    with Session(engine) as session:
        return session.scalar(select(func.count()).select_from(Account)) or 0


def find_account(engine: Engine, name: str) -> Account:
    """Return the account that is called `name` or has it as its identifier.

    Raises:
        AccountError: there is none.
    """
    with Session(engine, expire_on_commit=False) as session:
        found = session.scalar(select(Account).where((Account.name == name) | (Account.id == name)))
    if found is None:
        raise AccountError("There is no such account; zhuzhen users list shows all.")
    return found


def actor_of(account: Account) -> Actor:
    """Return who acts when `account` is logged in."""
    own = frozenset({Action.MANAGE_OWN_ACCOUNT, Action.READ_OWN_ACCOUNT})
    waiting = own if account.must_change_password else None
    return Actor(
        id=f"account:{account.id}",
        kind=ActorKind.PERSON,
        roles=frozenset(map(Role, account.roles)),
        institution=account.institution_id,
        scopes=waiting,
    )


def log_in(
    engine: Engine,
    name: str,
    password: str,
    code: str | None,
    now: datetime,
    browser: Browser = STRANGER,
) -> Account:
    """Return the account whose name, password and code these are; slow, so not on an event loop.

    A lock by the guesses of strangers does not concern a `browser` that the account is known in.

    Raises:
        LoginRefusedError: they are not, or the account is locked or closed.
    """
    with Session(engine, expire_on_commit=False) as session, session.begin():
        # Locked, so that guesses at the same time are counted one by one.
        query = select(Account).where(Account.name == name.strip().lower()).with_for_update()
        account = session.scalar(query)
        right = fits(account.password_hash if account else None, password)
        is_known = account is not None and browser.is_known_to(account.id)
        refused = _refusal(account, right, code, now, is_known=is_known)
        if refused is None and account is not None:
            if not is_known:
                account.failures, account.locked_until = 0, None
            if is_outdated(account.password_hash):
                account.password_hash = hash_password(password)
            return account
        if account is not None and refused in ("password", "code"):
            _count_failure(session, account, now, browser if is_known else STRANGER)
        account_id = account.id if account else None
    raise LoginRefusedError(refused or "unknown", account_id)


def _refusal(
    account: Account | None, right: bool, code: str | None, now: datetime, *, is_known: bool
) -> str | None:
    """Return why a login is refused, None where it is not; marks a code as used."""
    if account is None:
        return "unknown"
    if account.disabled_at is not None:
        return "disabled"
    if not is_known and _is_locked(account, now):
        return "locked"
    if not right:
        return "password"
    if not account.totp_confirmed:
        return None
    return None if _use_code(account, code or "", now) else "code"


def _is_locked(account: Account, now: datetime) -> bool:
    # A lock that ends further off than any does was made by a clock since set back.
    return account.locked_until is not None and now < account.locked_until <= now + LONGEST_LOCK


def _count_failure(session: Session, account: Account, now: datetime, browser: Browser) -> None:
    if browser is not STRANGER:
        browser.failed()
        return
    # Counted by the database: guesses that are tried at the same time must not count as one.
    account.failures = Account.failures + 1
    session.flush()
    session.refresh(account)
    beyond = account.failures - _FREE_FAILURES
    if beyond >= 0:
        account.locked_until = now + min(_FIRST_LOCK * 2 ** min(beyond, 10), LONGEST_LOCK)


def _use_code(account: Account, code: str, now: datetime) -> bool:
    if account.totp_secret is None:
        return False
    last = account.totp_last_step
    step = second_factor.accepted_step(account.totp_secret, code, after=last, now=now)
    if step is not None:
        account.totp_last_step = step
    return step is not None


def change_password(
    engine: Engine,
    account_id: str,
    old: str,
    new: str,
    now: datetime,
    browser: Browser = STRANGER,
) -> None:
    """Replace a person's own password and end all sessions.

    Raises:
        LoginRefusedError: `old` is not the password, or the account is locked.
        PasswordRefusedError: `new` is too easy to guess.
    """
    account = _require_password(engine, account_id, old, now, browser)
    require_strength(new, account.name)
    if fits(account.password_hash, new):
        raise AccountError("The new password is the old one; choose another.")
    _set_password(engine, account.id, new, must_change=False)


def _require_password(
    engine: Engine, account_id: str, password: str, now: datetime, browser: Browser
) -> Account:
    """Return an account whose owner knows the password: a session may be somebody else's by now.

    Guesses count as at a login, so that a session that was taken over is no way to the password.

    Raises:
        LoginRefusedError: it is not the password, or the account is locked.
    """
    with Session(engine, expire_on_commit=False) as session, session.begin():
        account = session.scalar(select(Account).where(Account.id == account_id).with_for_update())
        right = fits(account.password_hash if account else None, password)
        is_known = browser.is_known_to(account_id)
        if account is not None and not is_known and _is_locked(account, now):
            refused = "locked"
        elif account is not None and right:
            return account
        else:
            refused = "password"
            if account is not None:
                _count_failure(session, account, now, browser if is_known else STRANGER)
    raise LoginRefusedError(refused, account_id)


def reset_password(engine: Engine, name: str) -> str:
    """Return a new password of an account, which must be changed; unlocks it, ends its sessions."""
    account = find_account(engine, name)
    password = new_password()
    _set_password(engine, account.id, password, must_change=True)
    return password


def _set_password(engine: Engine, account_id: str, password: str, *, must_change: bool) -> None:
    kept = hash_password(password)
    with Session(engine) as session, session.begin():
        session.execute(
            update(Account)
            .where(Account.id == account_id)
            .values(
                password_hash=kept,
                must_change_password=must_change,
                failures=0,
                locked_until=None,
            )
        )
        _end_sessions(session, account_id)


def disable_account(engine: Engine, name: str, now: datetime) -> Account:
    """Close an account now and end its sessions; what it did stays on record."""
    account = find_account(engine, name)
    with Session(engine) as session, session.begin():
        session.execute(update(Account).where(Account.id == account.id).values(disabled_at=now))
        _end_sessions(session, account.id)
    return account


def enrol_second_factor(
    engine: Engine, account_id: str, password: str, now: datetime, browser: Browser = STRANGER
) -> str:
    """Give an account a new secret and return its URI; it counts once a code confirmed it.

    Raises:
        LoginRefusedError: it is not the password, or the account is locked.
        AccountError: the account has a second factor already.
    """
    account = _require_password(engine, account_id, password, now, browser)
    if account.totp_confirmed:
        raise AccountError(
            "The account has a second factor already; an administrator can take it off first."
        )
    secret = second_factor.new_secret()
    _set_second_factor(engine, account.id, secret)
    return second_factor.enrolment_uri(secret, account.name)


def confirm_second_factor(engine: Engine, account_id: str, code: str, now: datetime) -> None:
    """Make the second factor count from now on, and end the sessions that were begun without it.

    Raises:
        LoginRefusedError: the code is not right.
    """
    with Session(engine) as session, session.begin():
        account = session.get(Account, account_id)
        if account is None or not _use_code(account, code, now):
            raise LoginRefusedError("code", account_id)
        account.totp_confirmed = True
        _end_sessions(session, account_id)


def remove_second_factor(engine: Engine, name: str) -> Account:
    """Take the second factor off an account, for somebody who lost the telephone."""
    account = find_account(engine, name)
    _set_second_factor(engine, account.id, None)
    return account


def _set_second_factor(engine: Engine, account_id: str, secret: str | None) -> None:
    with Session(engine) as session, session.begin():
        session.execute(
            update(Account)
            .where(Account.id == account_id)
            .values(totp_secret=secret, totp_confirmed=False, totp_last_step=0)
        )


def _end_sessions(session: Session, account_id: str) -> None:
    for found in session.scalars(
        select(BrowserSession).where(BrowserSession.account_id == account_id)
    ):
        session.delete(found)
