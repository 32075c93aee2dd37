"""The intended use of a model as rules that a machine checks against an input's facts.

A rule names one fact of `models.radiograph.RadiographFacts` and what is allowed for it. A fact
that the input does not state breaks no rule: it is reported as not checked, and the image is
judged by its pixels.
"""

from dataclasses import dataclass
from typing import Any

from models.errors import PackageInvalidError
from models.fact_words import (
    AGE_SOURCES,
    FACT_NAMES,
    margin_in_words,
    one_of,
    range_in_words,
    value_in_words,
)
from models.findings import Reason, Text
from models.radiograph import RadiographFacts


@dataclass(frozen=True, slots=True)
class Allowed:
    """A rule for a coded fact: it must be one of these values."""

    fact: str
    values: tuple[str, ...]

    @property
    def expected(self) -> Text:
        """What the rule allows, for people."""
        return one_of(self.fact, self.values)

    def broken_by(self, found: Any) -> bool:
        """Whether `found` is a value the rule does not allow."""
        return str(found) not in self.values


@dataclass(frozen=True, slots=True)
class Range:
    """A rule for a number: from `minimum` to below `below`, give or take `margin`."""

    fact: str
    minimum: float
    below: float
    margin: float
    """How far outside still counts as inside, in the fact's unit; stated to the user."""

    @property
    def expected(self) -> Text:
        """What the rule allows, for people."""
        return range_in_words(self.fact, self.minimum, self.below, self.margin)

    def broken_by(self, found: Any) -> bool:
        """Whether `found` lies outside the range and its margin."""
        return not self.minimum - self.margin <= float(found) < self.below + self.margin

    def by_margin(self, found: Any) -> bool:
        """Whether `found` lies outside the range but within its margin."""
        return not self.broken_by(found) and not self.minimum <= float(found) < self.below


Rule = Allowed | Range


def rules_from(entries: list[dict[str, Any]]) -> tuple[Rule, ...]:
    """Build the rules from the `intended_use.rules` of a package's metadata.

    Raises:
        PackageInvalidError: a rule names a fact that no input can state.
    """
    rules: list[Rule] = []
    for entry in entries:
        if entry["fact"] not in FACT_NAMES:
            raise PackageInvalidError(
                f"intended_use has a rule for {entry['fact']!r}; known facts are "
                f"{', '.join(FACT_NAMES)}."
            )
        if "allowed" in entry:
            rules.append(Allowed(entry["fact"], tuple(entry["allowed"])))
        else:
            rules.append(
                Range(entry["fact"], entry["minimum"], entry["below"], entry.get("margin", 0.0))
            )
    return tuple(rules)


@dataclass(frozen=True, slots=True)
class UseCheck:
    """What came of checking an input's facts."""

    broken: tuple[Reason, ...]
    unchecked: tuple[Reason, ...]
    """Facts that the input does not state."""
    marginal: tuple[Reason, ...] = ()
    """Numbers that are allowed by the margin alone."""


def check(rules: tuple[Rule, ...], facts: RadiographFacts) -> UseCheck:
    """Check `facts` against every rule; all broken rules are told, not only the first."""
    broken, unchecked, marginal = [], [], []
    for rule in rules:
        found = getattr(facts, rule.fact)
        if found is None:
            unchecked.append(_not_stated(rule))
        elif rule.broken_by(found):
            broken.append(_broken(rule, found, facts))
        elif isinstance(rule, Range) and rule.by_margin(found):
            marginal.append(_by_margin(rule, found))
    return UseCheck(tuple(broken), tuple(unchecked), tuple(marginal))


def _not_stated(rule: Rule) -> Reason:
    name, allowed = FACT_NAMES[rule.fact], rule.expected
    message = Text(
        f"{name.en} is not stated in the input, so it was not checked and the pixels alone "
        f"decided; this model is for {allowed.en}",
        f"输入未注明{name.zh}，未能核对，仅依据像素判断；本模型适用于：{allowed.zh}",
    )
    return Reason(rule.fact, None, allowed.en, message)


def _by_margin(rule: Range, found: Any) -> Reason:
    name, shown = FACT_NAMES[rule.fact], value_in_words(rule.fact, float(found), decimals=2)
    margin = margin_in_words(rule.fact, rule.margin)
    range_ = range_in_words(rule.fact, rule.minimum, rule.below, 0)
    message = Text(
        f"{name.en} {shown.en}: outside {range_.en}, which this model is for, and accepted only "
        f"by the tolerance of {margin.en}; read with care",
        f"{name.zh} {shown.zh}：超出本模型的适用范围（{range_.zh}），"
        f"仅因 {margin.zh}的容差而被接受，请谨慎参考",
    )
    return Reason(rule.fact, f"{float(found):.2f}", rule.expected.en, message)


def _broken(rule: Rule, found: Any, facts: RadiographFacts) -> Reason:
    name, shown, allowed = FACT_NAMES[rule.fact], value_in_words(rule.fact, found), rule.expected
    source = Text("", "")
    if rule.fact == "age_years" and facts.age_source is not None:
        words = AGE_SOURCES[facts.age_source]
        source = Text(f" ({words.en})", f"（{words.zh}）")
    message = Text(
        f"{name.en} {shown.en}{source.en}; this model is for {allowed.en}",
        f"{name.zh} {shown.zh}{source.zh}；本模型仅适用于：{allowed.zh}",
    )
    stated = f"{found:.1f}" if isinstance(found, float) else str(found)
    return Reason(rule.fact, stated, allowed.en, message)
