"""Consent counts for each purpose by itself; a withdrawal takes effect with the next access."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from serving.audit import Purpose
from serving.privacy.consents import ConsentError, Consents
from serving.privacy.holds import (
    LegalHoldError,
    held_patients,
    lift_hold,
    place_hold,
    require_no_hold,
)
from serving.records import open_engine, upgrade
from tests.audit_samples import OTHER_PATIENT, PATIENT


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    found = open_engine(database_url)
    upgrade(found)
    yield found
    found.dispose()


def test_sharing_needs_consent_for_that_recipient_until_it_is_withdrawn(engine: Engine) -> None:
    consents = Consents(engine)
    assert not consents.shares(PATIENT, "clinic", "county")
    given = consents.give(
        PATIENT, "clinic", Purpose.SHARING, recipient="county", recorded_by="account:1"
    )
    assert consents.shares(PATIENT, "clinic", "county")
    for patient, owner, reader in (
        (OTHER_PATIENT, "clinic", "county"),
        (PATIENT, "county", "clinic"),
        (PATIENT, "clinic", "city"),
    ):
        assert not consents.shares(patient, owner, reader)
    assert not consents.allows_research(PATIENT, "clinic")
    consents.withdraw(given.id, "clinic")
    assert not Consents(engine).shares(PATIENT, "clinic", "county")
    assert [found.withdrawn_at is None for found in consents.of_patient(PATIENT, "clinic")] == [
        False
    ]


def test_research_is_a_consent_of_its_own(engine: Engine) -> None:
    consents = Consents(engine)
    consents.give(PATIENT, "clinic", Purpose.RESEARCH, recorded_by="account:1")
    assert consents.allows_research(PATIENT, "clinic")
    assert not consents.allows_research(PATIENT, "county")
    assert not consents.shares(PATIENT, "clinic", "county")


def test_a_consent_that_is_over_no_longer_counts(engine: Engine) -> None:
    consents = Consents(engine)
    past = datetime.now(UTC) - timedelta(seconds=1)
    consents.give(PATIENT, "clinic", Purpose.RESEARCH, recorded_by="account:1", expires_at=past)
    assert not consents.allows_research(PATIENT, "clinic")


def test_what_cannot_be_is_told(engine: Engine) -> None:
    consents = Consents(engine)
    with pytest.raises(ConsentError, match="names the institution"):
        consents.give(PATIENT, "clinic", Purpose.SHARING, recorded_by="account:1")
    with pytest.raises(ConsentError, match="purpose"):
        consents.give(PATIENT, "clinic", Purpose.AUDIT, recorded_by="account:1")
    given = consents.give(PATIENT, "clinic", Purpose.RESEARCH, recorded_by="account:1")
    for wrong in ((given.id, "county"), ("none", "clinic")):
        with pytest.raises(ConsentError, match="no consent"):
            consents.withdraw(*wrong)
    consents.withdraw(given.id, "clinic")
    with pytest.raises(ConsentError, match="no consent"):
        consents.withdraw(given.id, "clinic")


def test_a_hold_lasts_until_it_is_lifted(engine: Engine) -> None:
    require_no_hold(engine, PATIENT)
    hold = place_hold(engine, PATIENT, "litigation", "account:9")
    assert held_patients(engine) == {PATIENT}
    with pytest.raises(LegalHoldError, match="法律保全"):
        require_no_hold(engine, PATIENT)
    require_no_hold(engine, OTHER_PATIENT)
    lift_hold(engine, hold.id)
    require_no_hold(engine, PATIENT)
    with pytest.raises(LegalHoldError):
        lift_hold(engine, hold.id)
