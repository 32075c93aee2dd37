"""Who sees another institution's patient, through every role and ground, on both databases."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from serving.access import Guard
from serving.audit import Purpose
from serving.doors import DicomService, Job, Route
from serving.doors.parts import DICOM_SERVICES, JOBS, ROUTES
from serving.identity.institutions import (
    InstitutionError,
    add_institution,
    list_institutions,
    set_referrals,
)
from serving.identity.records import Tier
from serving.policy import Action, Actor, ActorKind, Relation, Role, Target
from serving.privacy import Keyring
from serving.privacy.consents import Agreement, Consents
from serving.problems import Problem
from serving.relations import (
    BreakGlassError,
    Grounds,
    ReferralError,
    break_glass,
    close_referral,
    list_overrides,
    list_referrals,
    refer,
    review_override,
)
from tests.access_table import expected_access
from tests.guards import MemoryRecorder, OneKey

PATIENT, OTHER = "p-" + "a" * 26, "p-" + "b" * 26
REASON = "unconscious, no relatives"
FORM = "paper form 2026-0113, records room 2"
EXPECTED = expected_access()
OPEN_DOORS: tuple[Route | DicomService | Job, ...] = (*ROUTES, *DICOM_SERVICES, *JOBS)
DOORS = sorted({(door.name, door.action) for door in OPEN_DOORS if door.action is not None})
ONE_OF_EACH = sorted({action: name for name, action in DOORS}.items())


def an_actor(role: Role, institution: str | None) -> Actor:
    kind = ActorKind.PROGRAM if role is Role.SYSTEM else ActorKind.PERSON
    return Actor(f"account:{role}-{institution}", kind, frozenset({role}), institution)


def now() -> datetime:
    return datetime.now(UTC)


def a_guard(engine: Engine, keyring: Keyring) -> tuple[Guard, MemoryRecorder]:
    recorder = MemoryRecorder()
    nobody = Actor("nobody", ActorKind.PROGRAM, frozenset())
    return Guard(engine, recorder, OneKey(nobody), keyring), recorder


def test_every_door_names_an_action_that_people_decided_on() -> None:
    assert {action for _, action in DOORS} <= {action for action, _ in EXPECTED}
    # Without a credential: whether it lives, and how to get one.
    assert {route.path for route in ROUTES if route.action is None} == {
        "/livez",
        "/readyz",
        "/v1/login",
    }


@pytest.mark.parametrize("role", Role)
def test_the_walk(engine: Engine, keyring: Keyring, role: Role) -> None:
    """Every door's action x role x institution x ground, decided by the guard from real records."""
    guard, recorder = a_guard(engine, keyring)
    village = an_actor(Role.PRIMARY_CLINICIAN, "village")
    refer(engine, village, PATIENT, "county", now())
    break_glass(engine, an_actor(role, "other"), PATIENT, REASON, now())
    add_institution(engine, "shared-with", name="x", name_zh="x", tier=Tier.TERTIARY, now=now())
    consents = Consents(engine)
    consents.give(OTHER, "village", Agreement(Purpose.SHARING, FORM, "shared-with"), "account:1")
    for patient in (PATIENT, OTHER):
        for owner in ("village", "other"):
            consents.give(patient, owner, Agreement(Purpose.RESEARCH, FORM), "account:1")
    study = Target("study", "village", PATIENT, "study:1")
    walk = [
        ("village", study, Relation.OWN),
        ("county", study, Relation.REFERRED),
        ("shared-with", Target("study", "village", OTHER), Relation.SHARED),
        # A program breaks no glass.
        ("other", study, Relation.NONE if role is Role.SYSTEM else Relation.EMERGENCY),
        ("other", Target("study", "village", OTHER), Relation.NONE),
        ("county", Target("study", "other", PATIENT), Relation.NONE),
        (None, Target("study", "village", OTHER), Relation.NONE),
        ("village", Target("model"), Relation.INSTALLATION),
    ]
    leaks = []
    for action, name in ONE_OF_EACH:
        for institution, target, relation in walk:
            recorder.events.clear()
            access = guard.act(an_actor(role, institution), name, action)
            try:
                access.require(target)
                allowed = True
            except Problem:
                allowed = False
            if allowed is not (relation in EXPECTED[action, role]):
                leaks.append((name, action, institution, relation, allowed))
            (event,) = recorder.events
            assert (event.outcome.value == "allowed") is allowed
            assert event.relation == relation.value
            assert event.patient == target.patient
    assert leaks == []


def test_a_referral_opens_one_patient_until_it_is_closed(engine: Engine, keyring: Keyring) -> None:
    guard, _ = a_guard(engine, keyring)
    doctor, specialist = (
        an_actor(Role.PRIMARY_CLINICIAN, "village"),
        an_actor(Role.SPECIALIST, "county"),
    )
    access = guard.act(specialist, "test", Action.READ_IMAGES)
    referral = refer(engine, doctor, PATIENT, "county", now())
    assert [one.id for one in list_referrals(engine, "county")] == [referral.id]

    access.require(Target("study", "village", PATIENT))
    with pytest.raises(Problem):
        access.require(Target("study", "village", OTHER))
    with pytest.raises(ReferralError):
        close_referral(engine, an_actor(Role.SPECIALIST, "other"), referral.id, now())
    close_referral(engine, specialist, referral.id, now())
    with pytest.raises(Problem):
        access.require(Target("study", "village", PATIENT))
    asyncio.run(access.settled())


def test_patients_go_along_the_paths_alone(engine: Engine) -> None:
    with pytest.raises(ReferralError, match="do not refer"):
        refer(engine, an_actor(Role.PRIMARY_CLINICIAN, "village"), PATIENT, "other", now())
    with pytest.raises(ReferralError):
        refer(engine, an_actor(Role.PRIMARY_CLINICIAN, None), PATIENT, "county", now())
    # And back down.
    refer(engine, an_actor(Role.SPECIALIST, "county"), PATIENT, "village", now())


def test_an_override_lasts_an_hour(engine: Engine, keyring: Keyring) -> None:
    specialist = an_actor(Role.SPECIALIST, "other")
    begun = now()
    break_glass(engine, specialist, PATIENT, REASON, begun)
    grounds = Grounds(engine)
    target = Target("study", "village", PATIENT)

    def granted(at: datetime) -> frozenset[Relation]:
        return grounds.complete(specialist, Action.READ_IMAGES, target, at).granted

    assert granted(begun) == {Relation.EMERGENCY}
    assert granted(begun + timedelta(hours=1)) == frozenset()
    # A clock set back does not begin it earlier.
    assert granted(begun - timedelta(minutes=1)) == frozenset()
    somebody_else = Actor("account:2", ActorKind.PERSON, frozenset({Role.SPECIALIST}), "other")
    assert grounds.complete(somebody_else, Action.READ_IMAGES, target, begun).granted == frozenset()


def test_the_reason_is_kept_encrypted_and_looked_at_by_somebody_else(
    engine: Engine, keyring: Keyring
) -> None:
    specialist = an_actor(Role.SPECIALIST, "other")
    reason = "张三 昏迷，无家属陪同"
    override = break_glass(engine, specialist, PATIENT, reason, now())
    with engine.connect() as connection:
        kept = str(connection.execute(text("SELECT * FROM emergency_overrides")).all())
    assert "张三" not in kept

    with pytest.raises(BreakGlassError):
        review_override(engine, override.id, specialist, now())
    review_override(engine, override.id, an_actor(Role.AUDITOR, None), now())
    assert list_overrides(engine, unreviewed=True) == []
    assert [one.id for one in list_overrides(engine)] == [override.id]


@pytest.mark.parametrize("reason", ["", "   ", "why not", "x" * 9])
def test_a_reason_that_says_nothing_is_refused(
    engine: Engine, keyring: Keyring, reason: str
) -> None:
    with pytest.raises(BreakGlassError, match="sentence"):
        break_glass(engine, an_actor(Role.SPECIALIST, "other"), PATIENT, reason, now())


def test_institutions_know_where_they_refer_to(engine: Engine) -> None:
    (village,) = [one for one in list_institutions(engine) if one.id == "village"]
    assert (village.tier, village.refers_to) == (Tier.PRIMARY, ("county",))

    set_referrals(engine, "village", ["county", "other", "other"])
    (village,) = [one for one in list_institutions(engine) if one.id == "village"]
    assert village.refers_to == ("county", "other")
    for targets in (["village"], ["nowhere"], ["'; DROP TABLE institutions; --"]):
        with pytest.raises(InstitutionError):
            set_referrals(engine, "village", targets)
