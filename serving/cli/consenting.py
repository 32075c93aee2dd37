"""What `zhuzhen consents` does."""

import typer

from serving.access import open_guard
from serving.answers import write_json
from serving.cli.operating import operating, permit
from serving.cli.personal_requests import Whose
from serving.cli.rows import show_rows
from serving.doors.consents import consent_json
from serving.identity.local import operator
from serving.policy import Action, Target
from serving.privacy.consents import Agreement, Consents

_COLUMNS = ("id", "status", "purpose", "recipient", "recorded_at", "expires_at", "evidence")


def record(
    whose: Whose,
    purpose: str,
    evidence: str,
    recipient: str | None,
    expires_at: str | None,
    *,
    as_json: bool,
) -> None:
    """Record what a patient agreed to."""
    agreed = Agreement.of(purpose, evidence, recipient, expires_at)
    with (
        open_guard() as guard,
        operating(guard, "consents.record", Action.RECORD_CONSENT, whose.institution) as access,
    ):
        patient = whose.person(guard.keyring).pseudonym
        access.require(access.own("consent", patient))
        access.settle()
        consent = Consents(guard.engine).give(patient, whose.institution, agreed, access.actor.id)
    told = f"Consent {consent.id} is recorded. / 已登记。"
    typer.echo(write_json(consent_json(consent)) if as_json else told)


def show(whose: Whose, *, as_json: bool) -> None:
    """List what a patient agreed to."""
    with (
        open_guard() as guard,
        operating(guard, "consents.list", Action.READ_CONSENTS, whose.institution) as access,
    ):
        patient = whose.person(guard.keyring).pseudonym
        access.require(access.own("consent", patient))
        access.settle()
        found = Consents(guard.engine).of_patient(patient, whose.institution)
    show_rows([consent_json(one) for one in found], _COLUMNS, as_json=as_json)


def withdraw(consent_id: str, institution: str, *, as_json: bool) -> None:
    """Withdraw a consent, with all others to the same."""
    with open_guard() as guard:
        consents = Consents(guard.engine)
        asked = consents.find(consent_id, institution)
        target = Target("consent", asked.owner, asked.patient, f"consent-{asked.id}")
        permit(
            guard,
            "consents.withdraw",
            Action.RECORD_CONSENT,
            target,
            institution=institution,
        )
        ended = consents.withdraw(consent_id, institution, operator().id)
    told = f"{len(ended)} consents to the same are withdrawn. / 已撤回。"
    typer.echo(write_json({"withdrawn": [one.id for one in ended]}) if as_json else told)
