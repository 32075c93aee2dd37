"""What patients agreed to, by purpose; the policy asks it at every access.

Care at the own institution needs no consent recorded here (PIPL article 13 (2)-(3): necessary for
the contract of care, or for a statutory duty). Sharing with another institution and research do,
each for itself; a withdrawal takes effect with the next access (PIPL article 15).
"""

import secrets
from datetime import UTC, datetime

from sqlalchemy import Engine, or_, select
from sqlalchemy.orm import Session

from models.errors import ZhuzhenError
from serving.audit import Purpose
from serving.privacy.records import Consent

PURPOSES = (Purpose.CARE, Purpose.SHARING, Purpose.RESEARCH)
"""What consent can be given for."""


class ConsentError(ZhuzhenError, ValueError):
    """A consent cannot be recorded or withdrawn as it was asked for."""


class Consents:
    """The consents of one installation. Nothing is kept in memory: a withdrawal is seen at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def give(
        self,
        patient: str,
        owner: str,
        purpose: Purpose,
        *,
        recorded_by: str,
        recipient: str | None = None,
        expires_at: datetime | None = None,
    ) -> Consent:
        """Record that a patient agreed.

        Raises:
            ConsentError: the purpose is none that consent is given for, or a recipient is missing
                where records are shared.
        """
        if purpose not in PURPOSES:
            raise ConsentError(f"The purpose is not one of {', '.join(PURPOSES)}.")
        if (purpose is Purpose.SHARING) != (recipient is not None):
            raise ConsentError(
                "Consent to share names the institution that may see the records; consent for "
                "other purposes names none. / 共享同意须指明接收机构，其他目的则不填。"
            )
        consent = Consent(
            id=secrets.token_hex(8),
            patient=patient,
            owner=owner,
            purpose=purpose.value,
            recipient=recipient,
            given_at=datetime.now(UTC),
            expires_at=expires_at,
            withdrawn_at=None,
            recorded_by=recorded_by,
        )
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            session.add(consent)
        return consent

    def withdraw(self, consent_id: str, owner: str) -> Consent:
        """End a consent now; what was done under it before stays done.

        Raises:
            ConsentError: the institution has no such consent that is in force.
        """
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            found = session.get(Consent, consent_id)
            if found is None or found.owner != owner or found.withdrawn_at is not None:
                raise ConsentError(
                    "There is no consent of this number in force at your institution."
                )
            found.withdrawn_at = datetime.now(UTC)
        return found

    def shares(self, patient: str, owner: str, reader: str) -> bool:
        """Whether a patient agreed that `reader` sees the records of `owner`, now."""
        return self._agreed(patient, owner, Purpose.SHARING, reader)

    def allows_research(self, patient: str, owner: str) -> bool:
        """Whether a patient agreed that records of `owner` are used for research, now."""
        return self._agreed(patient, owner, Purpose.RESEARCH, None)

    def of_patient(self, patient: str, owner: str) -> list[Consent]:
        """Return every consent of a patient at an institution, withdrawn ones too."""
        query = select(Consent).where(Consent.patient == patient, Consent.owner == owner)
        with Session(self._engine, expire_on_commit=False) as session:
            return list(session.scalars(query.order_by(Consent.given_at)))

    def _agreed(self, patient: str, owner: str, purpose: Purpose, recipient: str | None) -> bool:
        now = datetime.now(UTC)
        query = select(Consent.id).where(
            Consent.patient == patient,
            Consent.owner == owner,
            Consent.purpose == purpose.value,
            Consent.recipient == recipient if recipient else Consent.recipient.is_(None),
            Consent.given_at <= now,
            Consent.withdrawn_at.is_(None),
            or_(Consent.expires_at.is_(None), Consent.expires_at > now),
        )
        with Session(self._engine) as session:
            return session.scalar(query.limit(1)) is not None
