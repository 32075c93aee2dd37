"""Scopes of tokens, and the actions they allow (SMART App Launch 2.2, "Scopes for requesting FHIR
Resources", http://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html).

A scope narrows what the roles allow and never widens it. `patient/` scopes allow nothing here: they
bind a token to one patient chosen in another system, which this service could not hold it to.
Scopes of our own, `zhuzhen/<action>`, name what FHIR has no resource for.
"""

import re
from collections.abc import Mapping

from serving.policy import Action

_SCOPE = re.compile(r"(user|system)/(\*|[A-Za-z]+)\.([a-z*]+)")
_OWN = "zhuzhen/"
_VERSION_1 = {"read": "rs", "write": "cud", "*": "cruds"}
"""SMART 1 wrote permissions as words; its successor says how to read them."""

_CREATE, _READ, _UPDATE, _DELETE, _SEARCH = "cruds"

ACTIONS: Mapping[tuple[str, str], frozenset[Action]] = {
    ("ImagingStudy", _READ): frozenset({Action.READ_IMAGES}),
    ("ImagingStudy", _SEARCH): frozenset({Action.SEARCH_IMAGES}),
    ("ImagingStudy", _CREATE): frozenset({Action.STORE_IMAGES}),
    ("DiagnosticReport", _READ): frozenset({Action.READ_PRE_READS}),
    ("DiagnosticReport", _SEARCH): frozenset({Action.READ_PRE_READS}),
    ("DiagnosticReport", _CREATE): frozenset({Action.RECOGNIZE, Action.CLASSIFY_PATHOLOGY}),
    ("RiskAssessment", _CREATE): frozenset({Action.SCORE_RISK}),
    ("Task", _READ): frozenset({Action.READ_WORKLIST}),
    ("Task", _SEARCH): frozenset({Action.READ_WORKLIST}),
    ("Task", _CREATE): frozenset({Action.WORK_ON_TASKS}),
    ("Task", _UPDATE): frozenset({Action.WORK_ON_TASKS}),
    ("Consent", _READ): frozenset({Action.READ_CONSENTS}),
    ("Consent", _SEARCH): frozenset({Action.READ_CONSENTS}),
    ("Consent", _CREATE): frozenset({Action.RECORD_CONSENT}),
    ("Consent", _UPDATE): frozenset({Action.RECORD_CONSENT}),
    ("AuditEvent", _READ): frozenset({Action.READ_AUDIT}),
    ("AuditEvent", _SEARCH): frozenset({Action.READ_AUDIT}),
}
"""Which of our actions are an interaction with a resource; all others are none."""
ALWAYS = frozenset({Action.DISCOVER, Action.VERIFY_CONNECTION})
"""What any valid token allows, as far as its roles do."""


def actions_of(scope: str) -> frozenset[Action]:
    """Return the actions that the scopes in `scope`, separated by spaces, allow."""
    found: set[Action] = set(ALWAYS)
    for one in scope.split():
        if one.startswith(_OWN) and one[len(_OWN) :] in tuple(Action):
            found.add(Action(one[len(_OWN) :]))
        elif matched := _SCOPE.fullmatch(one):
            found |= _of_resource(matched[2], _VERSION_1.get(matched[3], matched[3]))
    return frozenset(found)


def is_for_a_program(scope: str) -> bool:
    """Whether a token was given to a program that acts for nobody (`system/` scopes alone)."""
    kinds = {one.partition("/")[0] for one in scope.split()}
    return "system" in kinds and "user" not in kinds


def _of_resource(resource: str, permissions: str) -> set[Action]:
    return {
        action
        for (named, interaction), actions in ACTIONS.items()
        if resource in ("*", named) and interaction in permissions
        for action in actions
    }
