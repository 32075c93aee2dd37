"""`zhuzhen consents`: its commands; what they do is imported when they are called.

A patient's number is read from a file, not from the command line, which other users see.
"""

from typing import Annotated

import typer

from serving.cli.person import Institution, Issuer, Json, NumberFile

consents_app = typer.Typer(
    no_args_is_help=True,
    help="What patients agreed to, by purpose: record it, list it, withdraw it. / 患者知情同意",
)


@consents_app.command("record")
def record_consent(
    institution: Institution,
    number_file: NumberFile,
    purpose: Annotated[str, typer.Option(help="care, sharing or research.")],
    evidence: Annotated[str, typer.Option(help="Where the signed form is kept.")],
    issuer: Issuer = None,
    recipient: Annotated[
        str | None, typer.Option(help="Institution that may see the records; for sharing.")
    ] = None,
    expires_at: Annotated[
        str | None, typer.Option(help="When it ends, such as 2027-11-25T00:00:00+08:00.")
    ] = None,
    json: Json = False,
) -> None:
    """Record what a patient agreed to."""
    from serving.cli import consenting
    from serving.cli.personal_requests import Whose

    whose = Whose(institution, number_file, issuer)
    consenting.record(whose, purpose, evidence, recipient, expires_at, as_json=json)


@consents_app.command("list")
def list_consents(
    institution: Institution, number_file: NumberFile, issuer: Issuer = None, json: Json = False
) -> None:
    """List what a patient agreed to, withdrawn consents too."""
    from serving.cli import consenting
    from serving.cli.personal_requests import Whose

    consenting.show(Whose(institution, number_file, issuer), as_json=json)


@consents_app.command("withdraw")
def withdraw_consent(
    consent: Annotated[str, typer.Argument(help="Number of the consent.")],
    institution: Institution,
    json: Json = False,
) -> None:
    """Withdraw a consent, with all others to the same; it counts from the next request."""
    from serving.cli import consenting

    consenting.withdraw(consent, institution, as_json=json)
