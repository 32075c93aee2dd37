"""`zhuzhen users`, `institutions`, `keys` and `emergencies`: what they take, and their help."""

from datetime import timedelta
from typing import Annotated

import typer

Json = Annotated[
    bool,
    typer.Option("--json", help="Write one JSON object a line to standard output, nothing else."),
]
Institution = Annotated[
    str | None, typer.Option(help="Identifier of the institution that is acted for.")
]
User = Annotated[str, typer.Argument(help="Name or identifier of the account.")]

users_app = typer.Typer(
    no_args_is_help=True, help="Accounts of people: make, list and close them. / 用户账户"
)
institutions_app = typer.Typer(
    no_args_is_help=True, help="Institutions, and who refers to whom. / 机构与转诊关系"
)
keys_app = typer.Typer(
    no_args_is_help=True, help="Keys of programs: make, list and revoke them. / 程序密钥"
)
emergencies_app = typer.Typer(
    no_args_is_help=True, help="Emergency overrides: list them, read why. / 紧急调阅"
)


@users_app.command("add")
def add_user(
    name: Annotated[str, typer.Argument(help="What the person logs in with, in lower case.")],
    role: Annotated[list[str], typer.Option(help="Role; may be given several times.")],
    full_name: Annotated[str, typer.Option(help="The person's name.")],
    institution: Institution = None,
    json: Json = False,
) -> None:
    """Make an account; its first password is shown once and must be changed."""
    from serving.cli import identity

    identity.add_user(name, role, full_name, institution, as_json=json)


@users_app.command("list")
def list_users(json: Json = False) -> None:
    """List the accounts."""
    from serving.cli import identity

    identity.list_users(as_json=json)


@users_app.command("reset-password")
def reset_password(user: User, json: Json = False) -> None:
    """Give an account a new password, shown once; it unlocks it and ends its sessions."""
    from serving.cli import identity

    identity.reset_password(user, as_json=json)


@users_app.command("disable")
def disable_user(user: User, json: Json = False) -> None:
    """Close an account; what it did stays on record."""
    from serving.cli import identity

    identity.disable_user(user, as_json=json)


@users_app.command("remove-second-factor")
def remove_second_factor(user: User, json: Json = False) -> None:
    """Take the second factor off an account whose owner lost it."""
    from serving.cli import identity

    identity.remove_second_factor(user, as_json=json)


@institutions_app.command("add")
def add_institution(
    institution: Annotated[str, typer.Argument(help="Lower-case letters, digits, hyphens.")],
    name: Annotated[str, typer.Option(help="Name in English.")],
    name_zh: Annotated[str, typer.Option(help="Name in Chinese.")],
    tier: Annotated[str, typer.Option(help="primary, secondary or tertiary.")],
    json: Json = False,
) -> None:
    """Add an institution."""
    from serving.cli import identity

    identity.add_institution(institution, name, name_zh, tier, as_json=json)


@institutions_app.command("refer")
def refer_to(
    institution: Annotated[str, typer.Argument(help="Institution that refers patients.")],
    to: Annotated[
        list[str] | None,
        typer.Option(help="Where to, in place of what was said before; several times for several."),
    ] = None,
    json: Json = False,
) -> None:
    """Say where an institution refers patients to."""
    from serving.cli import identity

    identity.set_referrals(institution, to or [], as_json=json)


@institutions_app.command("list")
def list_institutions(json: Json = False) -> None:
    """List the institutions with their tiers and where they refer to."""
    from serving.cli import identity

    identity.list_institutions(as_json=json)


@keys_app.command("create")
def create_key(
    label: Annotated[str, typer.Argument(help="What it is for.")],
    institution: Institution = None,
    role: Annotated[
        list[str] | None, typer.Option(help="Role, by default system; several times for several.")
    ] = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="Action that it is limited to; several for several.")
    ] = None,
    days: Annotated[int, typer.Option(help="Days that it is valid.", min=1, max=366)] = 90,
    json: Json = False,
) -> None:
    """Make a key, which is shown once."""
    from serving.cli import identity

    identity.create_key(
        label, institution, role or ["system"], scope, timedelta(days=days), as_json=json
    )


@keys_app.command("list")
def list_keys(json: Json = False) -> None:
    """List the keys; their secrets are not known."""
    from serving.cli import identity

    identity.list_keys(as_json=json)


@keys_app.command("revoke")
def revoke_key(
    key: Annotated[str, typer.Argument(help="Number of the key.")], json: Json = False
) -> None:
    """End a key now."""
    from serving.cli import identity

    identity.revoke_key(key, as_json=json)


@emergencies_app.command("list")
def list_emergencies(json: Json = False) -> None:
    """List emergency overrides, those that wait for a review first."""
    from serving.cli import identity

    identity.list_emergencies(as_json=json)


@emergencies_app.command("show")
def show_emergency(
    override: Annotated[str, typer.Argument(help="Number of the override.")], json: Json = False
) -> None:
    """Show one with the reason in the person's own words."""
    from serving.cli import identity

    identity.show_emergency(override, as_json=json)


def add_identity_commands(app: typer.Typer) -> None:
    """Add the groups of commands to `app`."""
    app.add_typer(users_app, name="users")
    app.add_typer(institutions_app, name="institutions")
    app.add_typer(keys_app, name="keys")
    app.add_typer(emergencies_app, name="emergencies")
