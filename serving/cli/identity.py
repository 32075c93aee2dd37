"""`zhuzhen users`, `institutions`, `keys` and `emergencies`: carried out as the operator."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

import typer

from models.errors import ZhuzhenError
from serving.access import open_guard
from serving.answers import write_json
from serving.cli.operating import permit
from serving.cli.rows import show_rows
from serving.doors.institutions import institution_json
from serving.doors.keys import key_json
from serving.doors.sharing import override_json
from serving.doors.users import account_json
from serving.identity import accounts, institutions, keys
from serving.identity.records import Tier
from serving.policy import Action, Role, Target
from serving.relations import find_override, list_overrides

_Word = TypeVar("_Word", bound=StrEnum)


class WordError(ZhuzhenError, ValueError):
    """An argument is none of the words that are known."""


def add_user(
    name: str, roles: Sequence[str], full_name: str, institution: str | None, *, as_json: bool
) -> None:
    """Make an account and show its first password."""
    wanted = [_word(Role, role, "role") for role in roles]
    with open_guard() as guard:
        permit(guard, "users.add", Action.MANAGE_ACCOUNTS, Target("account"))
        account, password = accounts.add_account(
            guard.engine,
            name,
            full_name=full_name,
            roles=wanted,
            institution=institution,
            now=datetime.now(UTC),
        )
    found = {**account_json(account), "password": password}
    _tell(found, f"{name}: {password}\nShown once; to be changed. / 仅显示一次，请修改。", as_json)


def list_users(*, as_json: bool) -> None:
    """List the accounts."""
    with open_guard() as guard:
        permit(guard, "users.list", Action.MANAGE_ACCOUNTS, Target("account"))
        found = [account_json(account) for account in accounts.list_accounts(guard.engine)]
    show_rows(found, ("name", "full_name", "institution", "roles", "disabled"), as_json=as_json)


def reset_password(user: str, *, as_json: bool) -> None:
    """Give an account a new password and show it."""
    with open_guard() as guard:
        account = accounts.find_account(guard.engine, user)
        target = Target("account", object_id=account.id)
        permit(guard, "users.reset-password", Action.MANAGE_ACCOUNTS, target)
        password = accounts.reset_password(guard.engine, account.id)
    found = {"name": account.name, "password": password}
    _tell(found, f"{account.name}: {password}\nShown once; to be changed.", as_json)


def disable_user(user: str, *, as_json: bool) -> None:
    """Close an account."""
    with open_guard() as guard:
        account = accounts.find_account(guard.engine, user)
        target = Target("account", object_id=account.id)
        permit(guard, "users.disable", Action.MANAGE_ACCOUNTS, target)
        accounts.disable_account(guard.engine, account.id, datetime.now(UTC))
    _tell({"name": account.name, "disabled": True}, f"{account.name} is closed.", as_json)


def remove_second_factor(user: str, *, as_json: bool) -> None:
    """Take the second factor off an account."""
    with open_guard() as guard:
        account = accounts.find_account(guard.engine, user)
        target = Target("account", object_id=account.id)
        permit(guard, "users.remove-second-factor", Action.MANAGE_ACCOUNTS, target)
        accounts.remove_second_factor(guard.engine, account.id)
    told = f"{account.name} logs in with the password alone."
    _tell({"name": account.name, "second_factor": False}, told, as_json)


def add_institution(institution: str, name: str, name_zh: str, tier: str, *, as_json: bool) -> None:
    """Add an institution."""
    wanted = _word(Tier, tier, "tier")
    with open_guard() as guard:
        permit(guard, "institutions.add", Action.MANAGE_INSTITUTIONS, Target("institution"))
        institutions.add_institution(
            guard.engine,
            institution,
            name=name,
            name_zh=name_zh,
            tier=wanted,
            now=datetime.now(UTC),
        )
    _tell({"id": institution}, f"{institution} is added.", as_json)


def set_referrals(institution: str, to: Sequence[str], *, as_json: bool) -> None:
    """Say where an institution refers patients to."""
    with open_guard() as guard:
        permit(guard, "institutions.refer", Action.MANAGE_INSTITUTIONS, Target("institution"))
        institutions.set_referrals(guard.engine, institution, to)
    told = f"{institution} refers to {', '.join(to) or 'nobody'}."
    _tell({"id": institution, "refers_to": sorted(set(to))}, told, as_json)


def list_institutions(*, as_json: bool) -> None:
    """List the institutions."""
    with open_guard() as guard:
        permit(guard, "institutions.list", Action.DISCOVER, Target("institution"))
        found = [institution_json(one) for one in institutions.list_institutions(guard.engine)]
    show_rows(found, ("id", "name", "name_zh", "tier", "refers_to"), as_json=as_json)


def create_key(
    label: str,
    institution: str | None,
    roles: Sequence[str],
    scopes: Sequence[str] | None,
    valid_for: timedelta,
    *,
    as_json: bool,
) -> None:
    """Make a key and show it."""
    granted = [_word(Role, role, "role") for role in roles]
    limited = [_word(Action, scope, "scope") for scope in scopes] if scopes else None
    with open_guard() as guard:
        permit(guard, "keys.create", Action.MANAGE_KEYS, Target("key"))
        key = keys.make_key(
            guard.engine,
            label=label,
            roles=granted,
            institution=institution,
            scopes=limited,
            valid_for=valid_for,
        )
    told = f"{key}\nShown once. Send it as `Authorization: Bearer KEY`. / 仅显示一次，请妥善保存。"
    _tell({"id": keys.id_of(key), "key": key}, told, as_json)


def list_keys(*, as_json: bool) -> None:
    """List the keys."""
    with open_guard() as guard:
        permit(guard, "keys.list", Action.MANAGE_KEYS, Target("key"))
        found = [key_json(key) for key in keys.list_keys(guard.engine)]
    show_rows(
        found, ("id", "label", "institution", "roles", "expires_at", "revoked_at"), as_json=as_json
    )


def revoke_key(key: str, *, as_json: bool) -> None:
    """End a key now."""
    with open_guard() as guard:
        permit(guard, "keys.revoke", Action.MANAGE_KEYS, Target("key"))
        if not keys.revoke_key(guard.engine, key):
            raise keys.KeyRequestError(
                "There is no key of this number that is valid; zhuzhen keys list shows all."
            )
    _tell({"id": key, "revoked": True}, f"{key} is revoked.", as_json)


def list_emergencies(*, as_json: bool) -> None:
    """List emergency overrides, those without a review first."""
    with open_guard() as guard:
        target = Target("emergency_override")
        permit(guard, "emergencies.list", Action.REVIEW_EMERGENCY, target)
        found = [override_json(one) for one in list_overrides(guard.engine)]
    found.sort(key=lambda one: one["reviewed_by"] is not None)
    show_rows(
        found, ("id", "actor", "institution", "patient", "begun_at", "reviewed_by"), as_json=as_json
    )


def show_emergency(override: str, *, as_json: bool) -> None:
    """Show an emergency override with the person's own words."""
    with open_guard() as guard:
        found = find_override(guard.engine, override)
        target = Target("emergency_override", object_id=f"override-{found.id}")
        permit(guard, "emergencies.show", Action.REVIEW_EMERGENCY, target)
    told = f"{found.actor}, {found.begun_at.isoformat()}, {found.patient}: {found.reason}"
    _tell({**override_json(found), "reason": found.reason}, told, as_json)


def _word(words: type[_Word], given: str, what: str) -> _Word:
    try:
        return words(given)
    except ValueError:
        known = ", ".join(words)
        raise WordError(f"{given!r} is no {what}; expected one of {known}.") from None


def _tell(found: Mapping[str, Any], sentence: str, as_json: bool) -> None:
    typer.echo(write_json(dict(found)) if as_json else sentence)
