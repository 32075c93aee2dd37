"""Who may do what: one table, one function that decides by it, asked by every door."""

from serving.policy.decisions import Actor, ActorKind, Decision, Target, decide, may_ever
from serving.policy.table import FOR_RESEARCH, READING
from serving.policy.words import Action, Relation, Role

__all__ = [
    "FOR_RESEARCH",
    "READING",
    "Action",
    "Actor",
    "ActorKind",
    "Decision",
    "Relation",
    "Role",
    "Target",
    "decide",
    "may_ever",
]
