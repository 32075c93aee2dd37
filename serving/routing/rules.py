"""Routing rules: the first that fits a series decides, and says why."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from models.findings import Text
from serving.imaging.anatomy_codes import BODY_PART_BY_SPELLING
from serving.routing.facts import SeriesFacts


class Priority(StrEnum):
    """Which jobs go first."""

    URGENT = "urgent"
    ROUTINE = "routine"


@dataclass(frozen=True, slots=True)
class When:
    """What a series must be for a rule to fit it; an empty condition fits every series."""

    source: tuple[str, ...] = ()
    modality: tuple[str, ...] = ()
    body_part: tuple[str, ...] = ()
    description: re.Pattern[str] | None = None
    min_age_years: float | None = None
    max_age_years: float | None = None

    def failing(self, facts: SeriesFacts) -> Text | None:
        """Return the first condition that `facts` do not meet, None where they meet all."""
        parts = tuple(BODY_PART_BY_SPELLING.get(part, part) for part in self.body_part)
        for names, wanted, found in (
            (_SOURCE, self.source, facts.source),
            (_MODALITY, self.modality, facts.modality),
            (_BODY_PART, parts, facts.body_part),
        ):
            if wanted and found not in wanted:
                return _not_one_of(names, found, wanted)
        return self._failing_age(facts.age_years) or self._failing_description(facts.description)

    def _failing_age(self, age_years: float | None) -> Text | None:
        low, high = self.min_age_years, self.max_age_years
        if low is None and high is None:
            return None
        if age_years is None:
            return Text("the age is not in the header", "图像头中没有年龄")
        if (low is not None and age_years < low) or (high is not None and age_years > high):
            bounds = _bounds(low, high)
            return Text(
                f"the age is {age_years:.1f} years, not {bounds.en} years",
                f"年龄为 {age_years:.1f} 岁，不在{bounds.zh}岁范围内",
            )
        return None

    def _failing_description(self, description: str) -> Text | None:
        if self.description is None or self.description.search(description):
            return None
        return Text(
            f"the descriptions do not match {self.description.pattern!r}",
            f"检查与序列描述不匹配 {self.description.pattern!r}",
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done with the series that it fits."""

    name: str
    when: When
    models: tuple[str, ...]
    """Model packages, `name` or `name@version`."""
    priority: Priority = Priority.ROUTINE
    destinations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rule fits a series, and why those before it do not."""

    rule: Rule | None
    passed_over: tuple[tuple[str, Text], ...]
    """Name of a rule and what of the series it does not fit, in the order of the file."""


def choose(rules: Sequence[Rule], facts: SeriesFacts) -> Choice:
    """Return the first of `rules` that fits `facts`."""
    passed_over: list[tuple[str, Text]] = []
    for rule in rules:
        failing = rule.when.failing(facts)
        if failing is None:
            return Choice(rule, tuple(passed_over))
        passed_over.append((rule.name, failing))
    return Choice(None, tuple(passed_over))


_SOURCE = Text("source", "来源")
_MODALITY = Text("modality", "设备类型")
_BODY_PART = Text("body part", "检查部位")


def _bounds(low: float | None, high: float | None) -> Text:
    if low is None:
        return Text(f"up to {high:g}", f"至 {high:g} ")
    if high is None:
        return Text(f"{low:g} or more", f" {low:g} 及以上")
    return Text(f"{low:g} to {high:g}", f" {low:g} 至 {high:g} ")


def _not_one_of(name: Text, found: str | None, wanted: Sequence[str]) -> Text:
    listed = ", ".join(wanted)
    if found is None:
        return Text(
            f"the {name.en} is not in the header; expected {listed}",
            f"图像头中没有{name.zh}；应为 {listed}",
        )
    return Text(f"the {name.en} is {found}, not {listed}", f"{name.zh}为 {found}，不是 {listed}")
