"""The intended use of a model as rules that a machine checks against an input's facts.

A rule names one fact of `models.radiograph.RadiographFacts` and what is allowed for it. A fact
that the input does not state breaks no rule: it is reported as not checked, and the image is
judged by its pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.errors import PackageInvalidError
from models.findings import Reason, Text
from models.radiograph import RadiographFacts

FACT_NAMES: Mapping[str, Text] = {
    "modality": Text("modality", "成像方式"),
    "body_part": Text("body part", "检查部位"),
    "view_position": Text("view position", "投照体位"),
    "age_years": Text("age in years", "年龄（岁）"),
    "frames": Text("number of frames", "帧数"),
    "presentation_intent": Text("presentation intent", "图像用途"),
    "source_format": Text("file format", "文件格式"),
    "rows": Text("rows of pixels", "像素行数"),
    "columns": Text("columns of pixels", "像素列数"),
}
"""The facts a rule may name, as people read them."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """A rule for a coded fact: it must be one of these values."""

    fact: str
    values: tuple[str, ...]

    @property
    def expected(self) -> str:
        """What the rule allows, for people."""
        return " / ".join(self.values)

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
    def expected(self) -> str:
        """What the rule allows, for people."""
        return f"{self.minimum:g} <= x < {self.below:g} (±{self.margin:g})"

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
    name = FACT_NAMES[rule.fact]
    message = Text(
        f"{name.en} is not stated in the input, so it was not checked "
        f"(expected {rule.expected}); judged by the pixels",
        f"输入未注明{name.zh}，未能核对（应为 {rule.expected}）；仅依据像素判断",
    )
    return Reason(rule.fact, None, rule.expected, message)


def _by_margin(rule: Range, found: Any) -> Reason:
    name = FACT_NAMES[rule.fact]
    shown = f"{float(found):.2f}"
    message = Text(
        f"{name.en} is {shown}, allowed only by the margin of {rule.margin:g}: read with care",
        f"{name.zh}为 {shown}，仅因允许 {rule.margin:g} 的余量而被接受，请谨慎参考",
    )
    return Reason(rule.fact, shown, rule.expected, message)


def _broken(rule: Rule, found: Any, facts: RadiographFacts) -> Reason:
    name = FACT_NAMES[rule.fact]
    shown = f"{found:.1f}" if isinstance(found, float) else str(found)
    from_en = from_zh = ""
    if rule.fact == "age_years" and facts.age_source is not None:
        from_en = f" (from {facts.age_source.value})"
        from_zh = f"（取自 {facts.age_source.value}）"
    message = Text(
        f"{name.en} is {shown}{from_en}; the model is meant for {rule.expected}",
        f"{name.zh}为 {shown}{from_zh}；本模型仅适用于 {rule.expected}",
    )
    return Reason(rule.fact, shown, rule.expected, message)
