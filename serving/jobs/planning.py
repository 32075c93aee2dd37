"""What the rules choose for a complete study: a plan, made once and kept with the job."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, Row, func, select

from serving.archive.entries import unsealed
from serving.archive.tables import INSTANCES, SERIES, STUDIES
from serving.privacy import Keyring
from serving.routing import Node, Priority, Rule, choose, facts_of

RESULTS_SOURCE = "zhuzhen"
"""Source of the objects that this node itself made; rules never see them."""


@dataclass(frozen=True, slots=True)
class PlannedReading:
    """Instances of one series that one model reads, because one rule says so."""

    rule: str
    model: str
    series_id: int
    destinations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is done with one version of a study."""

    readings: tuple[PlannedReading, ...]
    urgent: bool
    why_not: tuple[str, ...]
    """For each series without a rule, what it does not fit; empty where all have one."""

    @property
    def destinations(self) -> tuple[str, ...]:
        """Where results go, each once."""
        return tuple(dict.fromkeys(name for each in self.readings for name in each.destinations))

    def to_json(self) -> str:
        """Return the plan as it is stored."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Return the plan that `to_json` made `text` of."""
        found = json.loads(text)
        readings = tuple(
            PlannedReading(**{**each, "destinations": tuple(each["destinations"])})
            for each in found["readings"]
        )
        return cls(readings, found["urgent"], tuple(found["why_not"]))


def make_plan(connection: Connection, keyring: Keyring, node: Node, study_id: int) -> Plan:
    """Ask the rules for every series of a study."""
    study = connection.execute(select(STUDIES).where(STUDIES.c.id == study_id)).one()
    about_study = unsealed(keyring, study.attributes, STUDIES)
    readings: list[PlannedReading] = []
    rules: list[Rule] = []
    why_not: list[str] = []
    for row in _series(connection, study_id):
        facts = facts_of(
            about_study,
            unsealed(keyring, row.attributes, SERIES),
            unsealed(keyring, row.instance_attributes, INSTANCES),
            row.source,
        )
        choice = choose(node.rules, facts)
        if choice.rule is None:
            told = "; ".join(f"{name}: {text.en}" for name, text in choice.passed_over)
            why_not.append(told or "there are no rules")
            continue
        rules.append(choice.rule)
        readings += [
            PlannedReading(choice.rule.name, model, row.id, choice.rule.destinations)
            for model in choice.rule.models
        ]
    urgent = any(rule.priority is Priority.URGENT for rule in rules)
    return Plan(tuple(readings), urgent, tuple(dict.fromkeys(why_not)))


def _series(connection: Connection, study_id: int) -> Sequence[Row[int, str, str, str]]:
    """Return each series of a study with its first instance that a source sent."""
    sent = INSTANCES.alias()
    first = (
        select(func.min(sent.c.id))
        .where(sent.c.series_id == SERIES.c.id, sent.c.source != RESULTS_SOURCE)
        .scalar_subquery()
    )
    found = connection.execute(
        select(
            SERIES.c.id,
            SERIES.c.attributes,
            INSTANCES.c.attributes.label("instance_attributes"),
            INSTANCES.c.source,
        )
        .select_from(SERIES)
        .join(INSTANCES, INSTANCES.c.id == first)
        .where(SERIES.c.study_id == study_id)
        .order_by(SERIES.c.id)
    )
    return found.all()
