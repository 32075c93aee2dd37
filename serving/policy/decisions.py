"""Deciding by the table: who asks, for what, of which record."""

from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from models.findings import Text
from serving.policy.table import FOR_RESEARCH, TABLE
from serving.policy.words import Action, Relation, Role


class ActorKind(StrEnum):
    """What somebody is."""

    PERSON = "person"
    PROGRAM = "program"
    OPERATOR = "operator"
    """Whoever may run commands on the service's own machine, and so holds its files anyway."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks, as far as a credential has proved it."""

    id: str
    """Identifier of the account, key or token's subject: a token without spaces, never a name."""
    kind: ActorKind
    roles: frozenset[Role]
    institution: str | None = None
    """Identifier of the institution that is acted for; None for those who act for none."""
    scopes: frozenset[Action] | None = None
    """Actions that the credential is limited to; None for no limit beyond the roles'."""
    purpose: str = "care"
    """Why, in the words of `serving.audit.Purpose`."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked for: a patient's record, or something of the installation."""

    kind: str
    """What it is: `study`, `assessment`, `model`, `account` ..."""
    institution: str | None = None
    """Institution whose record it is; None for what belongs to the installation."""
    patient: str | None = None
    """Pseudonym of the patient."""
    object_id: str | None = None
    """The service's own identifier or digest of it."""
    granted: frozenset[Relation] = field(default_factory=frozenset)
    """Relations beyond ownership that were found to hold for the actor: an open referral to its
    institution, a consent to share, an emergency override."""
    consents_to_research: bool = False
    """Whether the patient agreed, and has not withdrawn it."""
    is_held: bool = False
    """Whether a legal hold forbids that anything of the patient is erased."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether it is allowed, and why."""

    allowed: bool
    reason: str
    """Machine name: `own`, `referred` ... where allowed; `role`, `scope`, `relation`,
    `no_research_consent` or `legal_hold` where not."""
    role: Role | None
    """Role that it is allowed in."""
    relation: Relation
    message: Text


_PREFERRED = (
    Relation.INSTALLATION,
    Relation.OWN,
    Relation.REFERRED,
    Relation.SHARED,
    Relation.EMERGENCY,
    Relation.NONE,
)
"""The weakest ground last, so that an override is only named where nothing else would do."""


def relations_of(actor: Actor, target: Target) -> tuple[Relation, ...]:
    """Return every relation that holds, the strongest ground first."""
    if target.institution is None and target.patient is None:
        return (Relation.INSTALLATION,)
    found = set(target.granted) - {Relation.OWN, Relation.INSTALLATION}
    if actor.institution is not None and actor.institution == target.institution:
        found.add(Relation.OWN)
    return tuple(relation for relation in _PREFERRED if relation in found) or (Relation.NONE,)


def decide(actor: Actor, action: Action, target: Target) -> Decision:
    """Decide whether `actor` may do `action` to `target`."""
    held = relations_of(actor, target)
    refusal = _refusal_by_role(actor, action, held[0])
    if refusal is not None:
        return refusal
    for relation in held:
        for role in _in_order(actor.roles):
            if relation in TABLE[action].get(role, frozenset()):
                return _unless_forbidden(action, target, role, relation)
    return Decision(False, "relation", None, held[0], _NO_RELATION)


def _unless_forbidden(action: Action, target: Target, role: Role, relation: Relation) -> Decision:
    """Decide on what the table allows: a patient's will, or a court's, may forbid it."""
    is_a_patients = relation is not Relation.INSTALLATION
    if action in FOR_RESEARCH and is_a_patients and not target.consents_to_research:
        return Decision(False, "no_research_consent", None, relation, _NO_RESEARCH_CONSENT)
    if action is Action.ERASE_PERSON and target.is_held:
        return Decision(False, "legal_hold", None, relation, _HELD)
    return Decision(True, relation.value, role, relation, _ALLOWED)


@lru_cache(maxsize=4096)
def may_ever(actor: Actor, action: Action) -> Decision:
    """Decide whether `actor` may do `action` to anything at all: asked before a body is read."""
    refusal = _refusal_by_role(actor, action, Relation.NONE)
    if refusal is not None:
        return refusal
    role = next(role for role in _in_order(actor.roles) if role in TABLE[action])
    return Decision(True, "role", role, Relation.NONE, _ALLOWED)


def _refusal_by_role(actor: Actor, action: Action, relation: Relation) -> Decision | None:
    if not actor.roles & TABLE[action].keys():
        return Decision(False, "role", None, relation, _NO_ROLE)
    if actor.scopes is not None and action not in actor.scopes:
        return Decision(False, "scope", None, relation, _NO_SCOPE)
    return None


@lru_cache(maxsize=256)
def _in_order(roles: frozenset[Role]) -> tuple[Role, ...]:
    return tuple(role for role in Role if role in roles)


_ALLOWED = Text("Allowed.", "允许。")
_NO_ROLE = Text(
    "None of your roles may do this. Ask an administrator if your duties need it.",
    "您的角色无权执行此操作。如工作需要，请联系管理员。",
)
_NO_SCOPE = Text(
    "The credential is not valid for this; use one whose scopes include it.",
    "该凭证的授权范围不包含此操作，请使用具有相应范围的凭证。",
)
_NO_RELATION = Text(
    "Your institution has no access to this record: it is neither its own nor referred or shared "
    "to it. Ask for a referral or the patient's consent; in an emergency, state an override.",
    "贵机构无权访问该记录：既非本机构记录，也未转诊或共享给贵机构。请通过转诊或患者知情同意获取；"
    "紧急情况下可申请紧急访问。",
)
_NO_RESEARCH_CONSENT = Text(
    "The patient has not consented to research, or has withdrawn it, so the record stays here. "
    "Record the consent first (zhuzhen consents record), or leave the record out.",
    "患者未同意用于科研，或已撤回同意，该记录不得外传。请先登记知情同意，或排除该记录。",
)
_HELD = Text(
    "A legal hold keeps what there is of this person; nothing was erased. An auditor can lift it.",
    "该患者资料处于法律保全状态，未删除任何内容。审计员可解除保全。",
)
