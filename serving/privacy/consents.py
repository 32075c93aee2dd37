"""What patients agreed to, by purpose; the policy asks it at every access.

Care at the own institution needs no consent recorded here (PIPL article 13 (2)-(3): necessary for
the contract of care, or for a statutory duty). Sharing with another institution and research do,
each for itself; a withdrawal takes effect with the next access (PIPL article 15).
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Engine, or_, select
from sqlalchemy.orm import Session

from serving.audit import Purpose
from serving.identity.errors import RequestRefusedError
from serving.identity.records import Institution
from serving.privacy.records import Consent

PURPOSES = (Purpose.CARE, Purpose.SHARING, Purpose.RESEARCH)
"""What consent can be given for."""
LONGEST_EVIDENCE = 500


class ConsentError(RequestRefusedError):
    """A consent cannot be recorded or withdrawn as it was asked for."""


class ConsentState(StrEnum):
    """Whether a consent counts."""

    ACTIVE = "active"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a patient agreed to, and how that can be shown."""

    purpose: Purpose
    evidence: str
    """Where the signed form, or whatever shows it, is kept; stored encrypted."""
    recipient: str | None = None
    """Institution that may see the records, where the purpose is sharing."""
    expires_at: datetime | None = None
    """When it ends by itself; None for not before it is withdrawn."""

    @classmethod
    def of(
        cls, purpose: str, evidence: str, recipient: str | None, expires_at: str | None
    ) -> "Agreement":
        """Return what was written as words; `expires_at` is a time of ISO 8601 with its zone.

        Raises:
            ConsentError: the purpose or the time is none.
        """
        if purpose not in PURPOSES:
            raise ConsentError(f"The purpose is not one of {', '.join(PURPOSES)}.")
        return cls(Purpose(purpose), evidence, recipient, _moment(expires_at))


class Consents:
    """The consents of one installation. Nothing is kept in memory: a withdrawal is seen at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def give(self, patient: str, owner: str, agreed: Agreement, recorded_by: str) -> Consent:
        """Record that a patient (pseudonym) of the institution `owner` agreed.

        Raises:
            ConsentError: saying what of it cannot be recorded.
        """
        now = datetime.now(UTC)
        _require_possible(agreed, now)
        consent = Consent(
            id=secrets.token_hex(8),
            patient=patient,
            owner=owner,
            purpose=agreed.purpose.value,
            recipient=agreed.recipient,
            evidence=agreed.evidence.strip(),
            given_at=now,
            expires_at=agreed.expires_at,
            withdrawn_at=None,
            recorded_by=recorded_by,
            withdrawn_by=None,
        )
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            _require_recipient(session, agreed.recipient, owner)
            session.add(consent)
        return consent

    def find(self, consent_id: str, owner: str) -> Consent:
        """Return a consent that an institution recorded.

        Raises:
            ConsentError: it has none of that number.
        """
        with Session(self._engine, expire_on_commit=False) as session:
            found = session.get(Consent, consent_id)
        if found is None or found.owner != owner:
            raise ConsentError(
                "There is no consent of this number at your institution. / "
                "本机构没有此编号的同意记录。"
            )
        return found

    def withdraw(self, consent_id: str, owner: str, withdrawn_by: str) -> list[Consent]:
        """End a consent now, with every other one to the same; return those that ended.

        Who withdraws says no to the purpose, not to one form of several that were signed. What was
        done before stays done.

        Raises:
            ConsentError: the institution has none of that number that is in force.
        """
        asked = self.find(consent_id, owner)
        if state_of(asked) is not ConsentState.ACTIVE:
            raise ConsentError(
                f"The consent is {state_of(asked)} already. / 该同意已撤回或已到期。"
            )
        now = datetime.now(UTC)
        same = _not_withdrawn(asked.patient, owner, Purpose(asked.purpose), asked.recipient)
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            ended = list(session.scalars(select(Consent).where(*same).with_for_update()))
            for consent in ended:
                consent.withdrawn_at, consent.withdrawn_by = now, withdrawn_by
        return ended

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
        found = _in_force(patient, owner, purpose, recipient, datetime.now(UTC))
        with Session(self._engine) as session:
            return session.scalar(select(Consent.id).where(*found).limit(1)) is not None


def state_of(consent: Consent) -> ConsentState:
    """Return whether a consent counts now."""
    if consent.withdrawn_at is not None:
        return ConsentState.WITHDRAWN
    if consent.expires_at is not None and consent.expires_at <= datetime.now(UTC):
        return ConsentState.EXPIRED
    return ConsentState.ACTIVE


def _not_withdrawn(
    patient: str, owner: str, purpose: Purpose, recipient: str | None
) -> tuple[ColumnElement[bool], ...]:
    return (
        Consent.patient == patient,
        Consent.owner == owner,
        Consent.purpose == purpose.value,
        Consent.recipient == recipient if recipient else Consent.recipient.is_(None),
        Consent.withdrawn_at.is_(None),
    )


def _in_force(
    patient: str, owner: str, purpose: Purpose, recipient: str | None, now: datetime
) -> tuple[ColumnElement[bool], ...]:
    return (
        *_not_withdrawn(patient, owner, purpose, recipient),
        # A clock that was set back finds nothing that is not given yet.
        Consent.given_at <= now,
        or_(Consent.expires_at.is_(None), Consent.expires_at > now),
    )


def _require_possible(agreed: Agreement, now: datetime) -> None:
    if (agreed.purpose is Purpose.SHARING) != (agreed.recipient is not None):
        raise ConsentError(
            "Consent to share names the institution that may see the records; consent for "
            "other purposes names none. / 共享同意须指明接收机构，其他目的则不填。"
        )
    if not 0 < len(agreed.evidence.strip()) <= LONGEST_EVIDENCE:
        raise ConsentError(
            f"The evidence is missing or too long; expected up to {LONGEST_EVIDENCE} characters "
            "that say where the signed form is kept. / 请填写知情同意书的存放位置或编号。"
        )
    if agreed.expires_at is not None and agreed.expires_at <= now:
        raise ConsentError("The consent would have ended already; expected a time to come.")


def _moment(given: str | None) -> datetime | None:
    try:
        found = None if given is None else datetime.fromisoformat(given)
    except ValueError:
        found = datetime.min
    if found is not None and found.tzinfo is None:
        raise ConsentError(
            "The end is not a time with its zone; expected one such as 2027-11-25T00:00:00+08:00."
        )
    return found


def _require_recipient(session: Session, recipient: str | None, owner: str) -> None:
    if recipient is None:
        return
    if recipient == owner or session.get(Institution, recipient) is None:
        raise ConsentError(
            "The recipient is no other institution of this installation; zhuzhen institutions list "
            "shows all. / 接收机构不存在或即为本机构。"
        )
