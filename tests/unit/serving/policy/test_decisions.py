"""Decisions agree with the table that people wrote, for every role, relation and action."""

from dataclasses import replace

import pytest

from serving.policy import (
    FOR_RESEARCH,
    Action,
    Actor,
    ActorKind,
    Relation,
    Role,
    Target,
    decide,
    may_ever,
)
from tests.access_table import expected_access

EXPECTED = expected_access()
BEYOND_OWN = (Relation.REFERRED, Relation.SHARED, Relation.EMERGENCY)
PATIENT = "p-" + "a" * 26


def an_actor(*roles: Role, scopes: frozenset[Action] | None = None) -> Actor:
    return Actor("account:1", ActorKind.PERSON, frozenset(roles), "county", scopes)


def a_target(relation: Relation) -> Target:
    match relation:
        case Relation.INSTALLATION:
            return Target("model")
        case Relation.OWN:
            return Target("study", "county", PATIENT, consents_to_research=True)
        case Relation.NONE:
            return Target("study", "village", PATIENT, consents_to_research=True)
    granted = frozenset({relation})
    return Target("study", "village", PATIENT, granted=granted, consents_to_research=True)


@pytest.mark.parametrize("action", Action)
def test_every_action_has_a_row_that_people_wrote(action: Action) -> None:
    assert {role for known, role in EXPECTED if known is action} == set(Role)


@pytest.mark.parametrize("relation", Relation)
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("action", Action)
def test_who_may_do_what(action: Action, role: Role, relation: Relation) -> None:
    decision = decide(an_actor(role), action, a_target(relation))

    allowed = relation in EXPECTED[action, role]
    assert decision.allowed is allowed
    assert decision.relation is relation
    assert decision.role is (role if allowed else None)
    assert decision.message.en
    assert decision.message.zh


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("action", Action)
def test_who_may_ever_do_it_is_let_in(action: Action, role: Role) -> None:
    assert may_ever(an_actor(role), action).allowed is bool(EXPECTED[action, role])


@pytest.mark.parametrize("action", Action)
def test_without_a_role_nothing_is_allowed(action: Action) -> None:
    for relation in Relation:
        assert not decide(an_actor(), action, a_target(relation)).allowed
    assert not may_ever(an_actor(), action).allowed


@pytest.mark.parametrize("action", Action)
def test_a_scope_narrows_and_never_widens(action: Action) -> None:
    everybody = an_actor(*Role, scopes=frozenset(Action) - {action})
    alone = an_actor(Role.PRIMARY_CLINICIAN, scopes=frozenset({action}))

    for relation in Relation:
        refused = decide(everybody, action, a_target(relation))
        assert (refused.allowed, refused.reason) == (False, "scope")
        allowed = relation in EXPECTED[action, Role.PRIMARY_CLINICIAN]
        assert decide(alone, action, a_target(relation)).allowed is allowed


def test_two_roles_allow_what_one_of_them_does() -> None:
    both = an_actor(Role.AUDITOR, Role.SPECIALIST)

    assert decide(both, Action.READ_AUDIT, a_target(Relation.INSTALLATION)).role is Role.AUDITOR
    assert decide(both, Action.READ_IMAGES, a_target(Relation.OWN)).role is Role.SPECIALIST


def test_an_override_is_named_only_where_nothing_else_would_do() -> None:
    target = Target("study", "village", PATIENT, granted=frozenset(BEYOND_OWN))

    assert decide(an_actor(Role.SPECIALIST), Action.READ_IMAGES, target).relation is (
        Relation.REFERRED
    )


def test_who_acts_for_no_institution_owns_nothing() -> None:
    nobodys = Actor("account:1", ActorKind.PERSON, frozenset(Role), None)

    decision = decide(nobodys, Action.READ_IMAGES, Target("study", None, PATIENT))

    assert not decision.allowed


def test_ownership_is_not_granted() -> None:
    granted = frozenset({Relation.OWN, Relation.INSTALLATION})
    target = Target("study", "village", PATIENT, granted=granted)

    decision = decide(an_actor(*Role), Action.ERASE_PERSON, target)

    assert (decision.allowed, decision.relation) == (False, Relation.NONE)


@pytest.mark.parametrize("action", sorted(FOR_RESEARCH))
def test_nothing_leaves_for_research_without_consent(action: Action) -> None:
    """Whoever asks, on whatever ground: each patient's own consent decides."""
    for relation in set(Relation) - {Relation.INSTALLATION}:
        target = replace(a_target(relation), consents_to_research=False)
        decision = decide(an_actor(*Role), action, target)
        assert not decision.allowed
        if decide(an_actor(*Role), action, a_target(relation)).allowed:
            assert decision.reason == "no_research_consent"
            assert "consent" in decision.message.en


def test_consent_to_research_alone_opens_nothing() -> None:
    for action in set(Action) - FOR_RESEARCH:
        for relation in Relation:
            with_consent, target = a_target(relation), a_target(relation)
            without = replace(target, consents_to_research=False)
            assert decide(an_actor(*Role), action, with_consent) == decide(
                an_actor(*Role), action, without
            )


def test_a_legal_hold_forbids_the_erasure_alone() -> None:
    for action in Action:
        held = replace(a_target(Relation.OWN), is_held=True)
        decision = decide(an_actor(*Role), action, held)
        if action is Action.ERASE_PERSON:
            assert (decision.allowed, decision.reason) == (False, "legal_hold")
        else:
            assert decision == decide(an_actor(*Role), action, a_target(Relation.OWN))
