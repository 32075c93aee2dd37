"""The gate that a challenger passes before it becomes champion.

Six tests, each of which says by how much it fails. What they need is measured when a version is
trained: the locked set beside the package, and the package's own `evaluation.json` and card.
"""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.findings import Text
from models.package import CARD, EVALUATION, ModelPackage
from training import metrics
from training.comparison import Difference, differences, figures_of, paired
from training.locked_set import LockedSet

_SHOWN = 1e-4
"""Below this a figure of four places would be told as 0."""


@dataclass(frozen=True, slots=True)
class GateConfig:
    """How much a challenger may lose, and what it must reach."""

    auc_margin: float = 0.01
    """Non-inferiority: the lower bound of the paired difference must not be below minus this."""
    sensitivity_margin: float = 0.03
    specificity_margin: float = 0.03
    brier_margin: float = 0.01
    calibration_error_limit: float = 0.05
    """Largest expected calibration error beyond what chance gives on a set of that size, and
    `calibration_error_margin` above the champion's error."""
    calibration_error_margin: float = 0.02
    subgroup_auc_floor: float = 0.75
    subgroup_fewest: int = 30
    """A subgroup with fewer samples, or fewer than a third of it of either class, says nothing."""

    @property
    def accepted_losses(self) -> dict[str, float]:
        """How much of each figure may be lost."""
        return {
            "auc": self.auc_margin,
            "sensitivity": self.sensitivity_margin,
            "specificity": self.specificity_margin,
            "brier": self.brier_margin,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one test of the gate says."""

    test: str
    passed: bool
    told: str
    """What was found, what is demanded, and by how much it fails."""


def judge(
    package: ModelPackage,
    challenger: LockedSet,
    champion: LockedSet | None,
    config: GateConfig = GateConfig(),
) -> list[Verdict]:
    """Return the verdict of every test; a first version has no champion to be held against.

    Raises:
        ReleaseError: the two were not measured on the same locked set.
    """
    evaluation = json.loads((package.root / EVALUATION).read_text(encoding="utf-8"))
    return [
        _non_inferiority(challenger, champion, config),
        _calibration(challenger, champion, config),
        _subgroups(challenger, config),
        _parity(evaluation),
        _int8(package, evaluation),
        card_verdict(package.root, package.statement),
    ]


def summary(verdicts: list[Verdict]) -> str:
    """Return the verdicts on one line."""
    return "; ".join(f"{v.test}: {'passed' if v.passed else 'FAILED'} ({v.told})" for v in verdicts)


def _non_inferiority(
    challenger: LockedSet, champion: LockedSet | None, config: GateConfig
) -> Verdict:
    test = "non-inferiority"
    if champion is None:
        return Verdict(test, True, "there is no champion yet")
    found = differences(*paired(champion, challenger))
    failures = [told for each in found if (told := _inferior(each, config))]
    if failures:
        return Verdict(test, False, "; ".join(failures))
    losses = []
    for figure, margin in config.accepted_losses.items():
        most = max(each.lost for each in found if each.figure == figure)
        losses.append(f"{figure} at most {max(0.0, most):.4f} (accepted {margin:g})")
    return Verdict(
        test, True, f"lost on {len(champion)} locked samples, at 95 %: {', '.join(losses)}"
    )


def _inferior(each: Difference, config: GateConfig) -> str | None:
    over = each.beyond(config.accepted_losses)
    if not over:
        return None
    told = f"{over:.4f}" if over >= _SHOWN else f"{over:.1g}"
    return (
        f"{each.figure} of {each.label} goes from {each.first:.4f} to {each.second:.4f} (95 % "
        f"interval of the difference {each.low:+.4f} to {each.high:+.4f}); a loss of up to "
        f"{config.accepted_losses[each.figure]:g} is accepted, it fails by {told}"
    )


def _calibration(challenger: LockedSet, champion: LockedSet | None, config: GateConfig) -> Verdict:
    failures, worst, limit = [], 0.0, config.calibration_error_limit
    for at, label in enumerate(challenger.labels):
        error = figures_of(challenger, at, challenger.weights)["calibration_error"]
        worst = max(worst, error)
        used = challenger.weights > 0
        chance = metrics.calibration_error_by_chance(
            challenger.probability[used, at], challenger.weights[used], seed=at
        )
        limit = config.calibration_error_limit + chance
        if champion is not None:
            before = figures_of(champion, at, champion.weights)["calibration_error"]
            # Who is well calibrated may not be followed by one that is not.
            limit = min(limit, before + config.calibration_error_margin)
        if error > limit:
            failures.append(
                f"calibration error of {label} is {error:.4f}, of which {chance:.4f} is chance on "
                f"{used.sum()} samples; at most {limit:.4f} is accepted, it fails by "
                f"{error - limit:.4f}"
            )
    told = "; ".join(failures) or f"largest calibration error {worst:.4f}, at most {limit:.4f}"
    return Verdict("calibration", not failures, told)


def _subgroups(challenger: LockedSet, config: GateConfig) -> Verdict:
    failures, lowest, looked = [], 1.0, 0
    for attribute, values in challenger.subgroups.items():
        for value in sorted(set(values.tolist()) - {""}):
            members = _with_others(challenger, attribute, values == value)
            for at, label in enumerate(challenger.labels):
                area = _area(challenger, members, at, config)
                if area is None:
                    continue
                looked, lowest = looked + 1, min(lowest, area)
                if area < config.subgroup_auc_floor:
                    short = config.subgroup_auc_floor - area
                    failures.append(
                        f"AUC of {label} where {attribute} is {value} is {area:.4f}; at least "
                        f"{config.subgroup_auc_floor:g} is demanded, it fails by {short:.4f}"
                    )
    told = f"lowest AUC of {looked} subgroups is {lowest:.4f}" if looked else "none is large enough"
    return Verdict("subgroup floor", not failures, "; ".join(failures) or told)


def _with_others(kept: LockedSet, attribute: str, members: Any) -> Any:
    """Return a subgroup; a subtype, which is all of one class, with all samples of the others."""
    if attribute != "subtype":
        return members
    present = kept.truth[members].any(axis=0)
    return members | ~kept.truth[:, present].any(axis=1)


def _area(kept: LockedSet, members: Any, at: int, config: GateConfig) -> float | None:
    chosen = np.flatnonzero(members)
    truth = kept.truth[chosen, at]
    fewest = min(int(truth.sum()), int((~truth).sum()))
    if len(chosen) < config.subgroup_fewest or fewest < config.subgroup_fewest / 3:
        return None
    part = kept.take(chosen)
    return figures_of(part, at, part.weights)["auc"]


def _parity(evaluation: dict[str, Any]) -> Verdict:
    export = evaluation.get("export", {})
    found, allowed = export.get("largest_differences", {}), export.get("tolerances", {})
    over = [
        f"{name} differs by {value:.3g}, at most {allowed[f'{name}_tolerance']:g} is accepted"
        for name, value in found.items()
        if f"{name}_tolerance" in allowed and not value <= allowed[f"{name}_tolerance"]
    ]
    measured = [name for name in found if f"{name}_tolerance" in allowed]
    if not measured:
        return Verdict("parity", False, "evaluation.json has no parity of the exported graph")
    told = "; ".join(over) or f"{', '.join(measured)} within tolerance"
    return Verdict("parity", not over, told)


def _int8(package: ModelPackage, evaluation: dict[str, Any]) -> Verdict:
    gate = evaluation.get("int8")
    if gate is None:
        # Of a table, a graph of a few kilobytes gains nothing by eight bits.
        needed = json.loads((package.root / "configs/metadata.json").read_text("utf-8"))
        kind = needed["zhuzhen"]["input"].get("kind")
        table = kind in ("table", "person")
        return Verdict("INT8", table, "not needed for a table" if table else "was not measured")
    there = package.onnx_int8_path is not None
    told = gate.get("reason") or f"decisions changed for {gate.get('changed_decisions', 0):.2%}"
    return Verdict("INT8", bool(gate.get("accepted")) and there, told)


_SECTIONS = ("intended use", "performance", "data", "limit")
_STATEMENTS = ("Not cleared as a medical device", "未经医疗器械注册审批")


def card_verdict(root: Path, statement: Text) -> Verdict:
    """Return whether the card of the package in `root` says all that it must."""
    card = (root / CARD).read_text(encoding="utf-8")
    headings = " ".join(re.findall(r"^#+ (.+)$", card, flags=re.MULTILINE)).lower()
    missing = [f"a section on {name}" for name in _SECTIONS if name not in headings]
    missing += [f"the statement {text!r}" for text in _STATEMENTS if text not in card]
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", card)
    missing += [name for name in pictures if not (root / "docs" / name).is_file()]
    missing += [] if statement.en and statement.zh else ["the intended use"]
    told = f"lacks {', '.join(missing)}" if missing else "complete"
    return Verdict("card", not missing, told)


def verdicts_as_json(verdicts: list[Verdict]) -> list[dict[str, Any]]:
    """Return the verdicts for JSON."""
    return [asdict(verdict) for verdict in verdicts]
