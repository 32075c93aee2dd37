"""What a search tries: values for keys of a configuration, as its YAML file says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from models.errors import DataError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

_RANGE = {"low", "high", "log", "step"}


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """How `zhuzhen train --search` looks for better values; decides nothing of a package."""

    space: Mapping[str, Any] = field(default_factory=dict)
    """By key, such as `optimisation.learning_rate`: `low` and `high` with `log: true` or a `step`
    where they are wanted (whole numbers stay whole), or `choices`."""
    criterion: str = ""
    """The score of the validation part to maximise; by default `selection.criterion` of images and
    `auc` of people."""
    startup_trials: int = 5
    """Trials that are drawn at random, and never pruned, before any is preferred."""


def distributions(config: SearchConfig) -> "dict[str, BaseDistribution]":
    """Return what each key of the space is drawn from.

    Raises:
        DataError: there is no space, or an entry is not understood.
    """
    if not config.space:
        raise DataError(
            "The configuration has no search.space, so there is nothing to search. Name keys in "
            "it, such as `optimisation.learning_rate: {low: 1.0e-4, high: 1.0e-3, log: true}`."
        )
    return {key: _distribution(key, entry) for key, entry in config.space.items()}


def ends(config: SearchConfig) -> list[dict[str, Any]]:
    """Return two points of the space, the lowest or first of everything and the highest or last."""
    entries = config.space.items()
    return [
        {key: each["choices"][0] if "choices" in each else each["low"] for key, each in entries},
        {key: each["choices"][-1] if "choices" in each else each["high"] for key, each in entries},
    ]


def laid_out(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` by dotted keys as nested keys, as a configuration has them."""
    nested: dict[str, Any] = {}
    for key, value in values.items():
        *above, last = key.split(".")
        place = nested
        for step in above:
            place = place.setdefault(step, {})
        place[last] = value
    return nested


def _distribution(key: str, entry: Any) -> "BaseDistribution":
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(entry, dict) and isinstance(entry.get("choices"), list) and len(entry) == 1:
        return CategoricalDistribution(entry["choices"])
    if not isinstance(entry, dict) or not {"low", "high"} <= set(entry) <= _RANGE:
        raise DataError(
            f"search.space: {key} is {entry!r}; expected `low` and `high`, with `log` or `step` "
            "where they are wanted, or `choices` with a list."
        )
    bounds = entry["low"], entry["high"]
    whole = all(isinstance(bound, int) for bound in bounds)
    log, step = bool(entry.get("log", False)), entry.get("step")
    try:
        if whole:
            return IntDistribution(*bounds, log=log, step=1 if step is None else step)
        return FloatDistribution(*bounds, log=log, step=step)
    except (TypeError, ValueError) as error:
        raise DataError(f"search.space: {key} is {entry!r}: {error}") from error
