"""What changes of a person's inputs do to the answers of a model of people.

Measured on the test part by the graph that ships. Each input varies as within one person, is
rounded, is missing where it may be, and is set to the ends of what is accepted; then all together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.reference import Reference
from models.table import TableInput
from training import metrics
from training.evaluation import Evaluated
from training.tables.config import TableConfig
from training.tables.graph import run_graph
from training.tables.variation import RobustnessConfig, VariationConfig

Floats = NDArray[np.float64]
KEY = "robustness"
"""Where `evaluation.json` has it."""
_FIGURES = ("auc", "sensitivity", "specificity", "calibration_error", "brier")
_COARSEST = 0.5
"""A number is rounded to the largest power of ten that is at most this share of its spread."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom the packaged graph is asked about."""

    part: Evaluated
    """People whose outcome is known, with what is said of them as they are."""
    values: Floats
    """Their inputs, shape (people, inputs), NaN where missing."""
    spread: Floats
    """Standard deviation of each input over the training part, shape (inputs,)."""
    inputs: tuple[TableInput, ...]
    onnx: Path
    reference: Reference


def measure_robustness(config: TableConfig, asked: Asked) -> dict[str, Any]:
    """Return figures under every change: of all inputs together, and of each alone.

    The sizes of the changes stand beside them, with their source.
    """
    varied = _Variation(config, asked)
    numbers = [at for at, each in enumerate(asked.inputs) if not each.categories]
    categories = [at for at, each in enumerate(asked.inputs) if each.categories]
    optional = [at for at, each in enumerate(asked.inputs) if each.optional]
    other_units = [at for at in numbers if _other_unit(asked.inputs[at]) is not None]
    draws = config.robustness.draws
    changes = {
        "unchanged": _after(asked, [asked.values]),
        "every number varied": _after(asked, [varied(numbers, d) for d in range(draws)]),
        "every number rounded": _after(asked, [_rounded(asked, numbers)]),
    }
    if categories:
        exchanged = [varied(categories, draw) for draw in range(draws)]
        changes["categories exchanged"] = _after(asked, exchanged)
    if other_units:
        changes["in other units, rounded"] = _after(asked, [_in_other_units(asked, other_units)])
    if optional:
        changes["all that may be missing is missing"] = _after(asked, [_missing(asked, optional)])
    return {
        "people": len(asked.values),
        "draws": draws,
        "spread_share": config.robustness.spread_share,
        "category_share": config.robustness.category_share,
        "changes": changes,
        "inputs": {
            each.name: _of_input(at, asked, varied, draws) for at, each in enumerate(asked.inputs)
        },
    }


def _of_input(at: int, asked: Asked, varied: "_Variation", draws: int) -> dict[str, Any]:
    each = asked.inputs[at]
    told: dict[str, Any] = {"varied": _after(asked, [varied([at], d) for d in range(draws)])}
    if each.optional:
        told["missing"] = _after(asked, [_missing(asked, [at])])
    if each.categories:
        return told
    told["variation"] = varied.told(at)
    told["rounded_to"] = _step(asked.spread[at])
    told["rounded"] = _after(asked, [_rounded(asked, [at])])
    ends = {"lowest": (each.minimum, each.usual_low), "highest": (each.maximum, each.usual_high)}
    for name, (accepted, usual) in ends.items():
        end = usual if accepted is None else accepted
        if end is not None:
            at_end = asked.values.copy()
            at_end[:, at] = end
            told[name] = {"value": end} | _after(asked, [at_end])
    return told


def _after(asked: Asked, drawn: Sequence[Floats]) -> dict[str, float]:
    """Return the figures for inputs that were changed, each of `drawn` a draw; their means."""
    before = asked.part.probability
    weights, truth = asked.part.scored().weights, asked.part.truth[:, 0]
    point = asked.part.calibration.labels[0].operating_point
    outputs = run_graph(asked.onnx, np.concatenate(drawn))
    said = asked.part.calibration.probabilities(outputs["logits"])
    refused = asked.reference.score(outputs["embedding"]) > 1
    rows = []
    for each in np.split(said, len(drawn)):
        changed = each - before
        scored = metrics.Scored(truth, each[:, 0], asked.part.manifest.groups(), weights)
        figures = metrics.score_all(scored, point)
        rows.append(
            {name: figures[name] for name in _FIGURES}
            | {
                "mean_probability_change": float(np.abs(changed).mean()),
                "mean_shift": float(changed.mean()),
                "changed_decisions": float(((each >= point) != (before >= point)).mean()),
            }
        )
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    return means | {"refused_share": float(refused.mean())}


class _Variation:
    """Draws inputs as they might have been of the same people on another day."""

    def __init__(self, config: TableConfig, asked: Asked) -> None:
        self._settings: RobustnessConfig = config.robustness
        self._stated = {each.name: each.variation for each in config.inputs}
        self._asked, self._seed = asked, config.seed

    def __call__(self, chosen: Sequence[int], draw: int) -> Floats:
        """Return the inputs with those at `chosen` varied; the same for the same `draw`."""
        values = self._asked.values.copy()
        for at in chosen:
            # Each input has draws of its own, which are the same alone and among others.
            rng = np.random.default_rng((self._seed, draw, at))
            if self._asked.inputs[at].categories:
                taken = rng.random(len(values)) < self._settings.category_share
                values[taken, at] = rng.permutation(values[:, at])[taken]
            else:
                changed = values[:, at] + rng.normal(size=len(values)) * self._sd(at)
                values[:, at] = _held(self._asked.inputs[at], changed)
        return values

    def told(self, at: int) -> dict[str, Any]:
        """Return by how much the number at `at` varies, and who says so."""
        stated = self._of(at)
        if stated is None:
            return {"sd": self._settings.spread_share * self._asked.spread[at], "source": None}
        size = {"sd": stated.sd} if stated.sd is not None else {"cv_percent": stated.cv_percent}
        return {**size, "source": stated.source}

    def _of(self, at: int) -> VariationConfig | None:
        return self._stated[self._asked.inputs[at].name]

    def _sd(self, at: int) -> Floats | float:
        told = self.told(at)
        if "sd" in told:
            return float(told["sd"])
        relative: Floats = np.abs(self._asked.values[:, at]) * told["cv_percent"] / 100
        return relative


def _missing(asked: Asked, chosen: Sequence[int]) -> Floats:
    values = asked.values.copy()
    values[:, chosen] = np.nan
    return values


def _rounded(asked: Asked, chosen: Sequence[int]) -> Floats:
    values = asked.values.copy()
    for at in chosen:
        step = _step(asked.spread[at])
        values[:, at] = _held(asked.inputs[at], np.round(values[:, at] / step) * step)
    return values


def _in_other_units(asked: Asked, chosen: Sequence[int]) -> Floats:
    """Return the inputs as a form in the other unit would have them, rounded there."""
    values = asked.values.copy()
    for at in chosen:
        factor = _other_unit(asked.inputs[at]) or 1.0
        step = _step(asked.spread[at] / factor) * factor
        values[:, at] = _held(asked.inputs[at], np.round(values[:, at] / step) * step)
    return values


def _other_unit(each: TableInput) -> float | None:
    """Return the factor of the first alias that is in another unit; None where there is none."""
    return next((factor for factor in each.aliases.values() if factor != 1), None)


def _step(spread: float) -> float:
    return float(10.0 ** np.floor(np.log10(_COARSEST * spread)))


def _held(each: TableInput, values: Floats) -> Floats:
    """Return values within what the service accepts; beyond it nothing is answered at all."""
    low = -np.inf if each.minimum is None else each.minimum
    high = np.inf if each.maximum is None else each.maximum
    return np.clip(values, low, high)
