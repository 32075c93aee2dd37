"""Consent counts for each purpose by itself; a withdrawal takes effect with the next access."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from serving.audit import Purpose
from serving.identity.institutions import add_institution
from serving.identity.records import Tier
from serving.privacy.consents import Agreement, ConsentError, Consents, ConsentState, state_of
from serving.privacy.holds import (
    LegalHoldError,
    held_patients,
    is_held,
    lift_hold,
    list_holds,
    place_hold,
)
from serving.records import open_engine, upgrade
from tests.audit_samples import OTHER_PATIENT, PATIENT

FORM = "纸质知情同意书 2026-0113，档案室 2 号柜"
RESEARCH = Agreement(Purpose.RESEARCH, FORM)
SHARING = Agreement(Purpose.SHARING, FORM, "county")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    found = open_engine(database_url)
    upgrade(found)
    now = datetime.now(UTC)
    for name in ("clinic", "county", "city"):
        add_institution(found, name, name=name, name_zh=name, tier=Tier.PRIMARY, now=now)
    yield found
    found.dispose()


def test_sharing_needs_consent_for_that_recipient_until_it_is_withdrawn(engine: Engine) -> None:
    consents = Consents(engine)
    assert not consents.shares(PATIENT, "clinic", "county")
    given = consents.give(PATIENT, "clinic", SHARING, "account:1")
    assert consents.shares(PATIENT, "clinic", "county")
    for patient, owner, reader in (
        (OTHER_PATIENT, "clinic", "county"),
        (PATIENT, "county", "clinic"),
        (PATIENT, "clinic", "city"),
    ):
        assert not consents.shares(patient, owner, reader)
    assert not consents.allows_research(PATIENT, "clinic")
    consents.withdraw(given.id, "clinic", "account:2")
    assert not Consents(engine).shares(PATIENT, "clinic", "county")
    (found,) = consents.of_patient(PATIENT, "clinic")
    assert state_of(found) is ConsentState.WITHDRAWN
    assert (found.recorded_by, found.withdrawn_by) == ("account:1", "account:2")


def test_research_is_a_consent_of_its_own(engine: Engine) -> None:
    consents = Consents(engine)
    consents.give(PATIENT, "clinic", RESEARCH, "account:1")
    assert consents.allows_research(PATIENT, "clinic")
    assert not consents.allows_research(PATIENT, "county")
    assert not consents.shares(PATIENT, "clinic", "county")


def test_who_withdraws_says_no_to_every_form_that_was_signed(engine: Engine) -> None:
    consents = Consents(engine)
    first = consents.give(PATIENT, "clinic", RESEARCH, "account:1")
    second = consents.give(PATIENT, "clinic", RESEARCH, "account:1")
    others = consents.give(OTHER_PATIENT, "clinic", RESEARCH, "account:1")
    consents.give(PATIENT, "clinic", SHARING, "account:1")
    ended = consents.withdraw(first.id, "clinic", "account:1")
    assert {one.id for one in ended} == {first.id, second.id}
    assert not consents.allows_research(PATIENT, "clinic")
    assert consents.allows_research(OTHER_PATIENT, "clinic")
    assert consents.shares(PATIENT, "clinic", "county")
    assert consents.find(others.id, "clinic").withdrawn_at is None


def test_a_consent_that_is_over_no_longer_counts(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    consents = Consents(engine)
    soon = datetime.now(UTC) + timedelta(hours=1)
    given = consents.give(
        PATIENT, "clinic", Agreement(Purpose.RESEARCH, FORM, expires_at=soon), "account:1"
    )
    assert consents.allows_research(PATIENT, "clinic")
    with engine.begin() as connection:
        past = {"past": "2026-01-01 00:00:00", "id": given.id}
        connection.execute(text("UPDATE consents SET expires_at = :past WHERE id = :id"), past)
    assert not consents.allows_research(PATIENT, "clinic")
    assert state_of(consents.find(given.id, "clinic")) is ConsentState.EXPIRED
    with pytest.raises(ConsentError, match="expired"):
        consents.withdraw(given.id, "clinic", "account:1")


def test_a_clock_set_back_gives_nothing_earlier(engine: Engine) -> None:
    consents = Consents(engine)
    given = consents.give(PATIENT, "clinic", RESEARCH, "account:1")
    with engine.begin() as connection:
        ahead = {"ahead": "2999-01-01 00:00:00", "id": given.id}
        connection.execute(text("UPDATE consents SET given_at = :ahead WHERE id = :id"), ahead)
    assert not consents.allows_research(PATIENT, "clinic")


def test_a_clock_set_back_does_not_undo_a_withdrawal(engine: Engine) -> None:
    consents = Consents(engine)
    given = consents.give(PATIENT, "clinic", RESEARCH, "account:1")
    at = text("UPDATE consents SET given_at = :at WHERE id = :id")
    with engine.begin() as connection:
        connection.execute(at, {"at": "2999-01-01 00:00:00", "id": given.id})
    assert [each.id for each in consents.withdraw(given.id, "clinic", "account:2")] == [given.id]
    # The clock has come to where it was.
    with engine.begin() as connection:
        connection.execute(at, {"at": "2026-01-01 00:00:00", "id": given.id})
    assert not consents.allows_research(PATIENT, "clinic")


def test_where_the_form_is_kept_is_encrypted(engine: Engine) -> None:
    consents = Consents(engine)
    given = consents.give(PATIENT, "clinic", RESEARCH, "account:1")
    with engine.connect() as connection:
        kept = str(connection.execute(text("SELECT * FROM consents")).all())
    assert "2026-0113" not in kept
    assert consents.find(given.id, "clinic").evidence == FORM


@pytest.mark.parametrize(
    ("agreed", "told"),
    [
        ({"purpose": "sharing"}, "names the institution"),
        ({"recipient": "county"}, "names none"),
        ({"purpose": "audit"}, "purpose"),
        ({"purpose": "sharing", "recipient": "nowhere"}, "no other institution"),
        ({"purpose": "sharing", "recipient": "clinic"}, "no other institution"),
        ({"evidence": "  "}, "evidence"),
        ({"evidence": "x" * 501}, "evidence"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "ended already"),
        ({"expires_at": "2030-01-01T00:00:00"}, "with its zone"),
        ({"expires_at": "next year"}, "with its zone"),
    ],
)
def test_what_cannot_be_is_told(engine: Engine, agreed: dict[str, Any], told: str) -> None:
    words = {"purpose": "research", "evidence": FORM, "recipient": None, "expires_at": None}
    with pytest.raises(ConsentError, match=told):
        Consents(engine).give(PATIENT, "clinic", Agreement.of(**(words | agreed)), "account:1")
    assert Consents(engine).of_patient(PATIENT, "clinic") == []


def test_only_what_is_in_force_at_the_own_institution_is_withdrawn(engine: Engine) -> None:
    consents = Consents(engine)
    given = consents.give(PATIENT, "clinic", RESEARCH, "account:1")
    for wrong in ((given.id, "county"), ("none", "clinic")):
        with pytest.raises(ConsentError, match="no consent"):
            consents.withdraw(*wrong, "account:1")
    consents.withdraw(given.id, "clinic", "account:1")
    with pytest.raises(ConsentError, match="withdrawn already"):
        consents.withdraw(given.id, "clinic", "account:1")


def test_a_hold_lasts_until_it_is_lifted(engine: Engine) -> None:
    assert not is_held(engine, PATIENT)
    hold = place_hold(engine, PATIENT, "litigation", "account:9")
    assert held_patients(engine) == {PATIENT}
    assert is_held(engine, PATIENT)
    assert not is_held(engine, OTHER_PATIENT)
    lift_hold(engine, hold.id)
    assert not is_held(engine, PATIENT)
    (found,) = list_holds(engine)
    assert found.lifted_at is not None
    with pytest.raises(LegalHoldError):
        lift_hold(engine, hold.id)
