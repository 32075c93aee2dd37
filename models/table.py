"""What a model of people takes: named inputs with units, and how they become the graph's vector."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import InputError, PackageInvalidError
from models.findings import Text

Given = float | int | str | bool | None


@dataclass(frozen=True, slots=True)
class TableInput:
    """One input of a model of people."""

    name: str
    """With its unit, such as `sbp_mmhg`."""
    label: Text
    unit: str = ""
    """UCUM code; empty for categories and counts."""
    categories: tuple[str, ...] = ()
    """Values of a category, whose places are the graph's numbers; empty for a number."""
    minimum: float | None = None
    """Below this the value is a slip and not a person."""
    maximum: float | None = None
    optional: bool = False
    """Whether it may be missing."""
    usual_low: float | None = None
    """Half a percent of the training data lie below, where the model's curve is constant."""
    usual_high: float | None = None
    aliases: Mapping[str, float] = field(default_factory=dict)
    """Other names that senders use, with the factor that turns their values into this unit."""
    synonyms: Mapping[str, str] = field(default_factory=dict)
    """Other spellings of the categories, in lower case."""
    missing: tuple[float, ...] = ()
    """Codes that mean that it is not known."""

    def __post_init__(self) -> None:
        unknown = set(self.synonyms.values()) - set(self.categories)
        if unknown:
            raise PackageInvalidError(f"{self.name} has synonyms for {sorted(unknown)}.")

    def number(self, given: Given, factor: float = 1.0) -> float:
        """Return the graph's number for `given`, NaN where it is missing.

        Raises:
            InputError: it is no value that this input takes.
        """
        if given is None or (isinstance(given, str) and given.strip().lower() in _NOTHING):
            return math.nan
        return self._place(given) if self.categories else self._quantity(given, factor)

    def _place(self, given: Given) -> float:
        word = str(given).strip()
        found = self.synonyms.get(word.lower(), self.synonyms.get(_as_float(word), word))
        if found not in self.categories:
            raise InputError(
                f"{self.name} has a value that is not known; expected "
                f"{' or '.join(self.categories)}."
            )
        return float(self.categories.index(found))

    def _quantity(self, given: Given, factor: float) -> float:
        try:
            stated = float(given)  # type: ignore[arg-type]  # None was handled above
        except ValueError as error:
            raise InputError(
                f"{self.name} is not a number; give it in {self.unit or '1'}."
            ) from error
        if math.isnan(stated) or stated in self.missing:
            return math.nan
        value = stated * factor
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        if not low <= value <= high:
            raise InputError(
                f"{self.name} is outside {low:g} to {high:g} {self.unit}; check its unit and "
                "decimal point."
            )
        return value


def _as_float(word: str) -> str:
    """Return how a table of floating-point numbers writes the code `word`: `1` is `1.0` there."""
    return f"{word}.0" if word.isdecimal() else word


_NOTHING = ("", "nan", "na", "null", "none")


@dataclass(frozen=True, slots=True)
class Vector:
    """One person's inputs as the graph takes them."""

    values: NDArray[np.float32]
    """Shape (inputs,), NaN where missing."""
    missing: tuple[str, ...]
    unusual: tuple[str, ...]
    """Names of inputs outside what nearly all of the training data show."""


@dataclass(frozen=True, slots=True)
class TableSpec:
    """The inputs of a model of people, in the order of the graph's vector."""

    inputs: tuple[TableInput, ...]
    horizon_years: float | None = None
    """Of the risk; None for a state that is there now."""
    kind: str = "table"

    def vector(self, given: Mapping[str, Given]) -> Vector:
        """Return the vector of one person, whose inputs are `given` by name or alias.

        Raises:
            InputError: a needed input is missing, or a value is none that its input takes.
        """
        values = np.array([_value_of(each, given) for each in self.inputs], np.float64)
        absent = [each for each, value in zip(self.inputs, values, strict=True) if value != value]
        needed = [each.name for each in absent if not each.optional]
        if needed:
            raise InputError(f"{', '.join(needed)} must be given.")
        unusual = [
            each.name
            for each, value in zip(self.inputs, values, strict=True)
            if not each.categories and _is_unusual(each, float(value))
        ]
        names = tuple(each.name for each in absent)
        return Vector(values.astype(np.float32), names, tuple(unusual))


def _value_of(each: TableInput, given: Mapping[str, Given]) -> float:
    if each.name in given:
        return each.number(given[each.name])
    for alias, factor in each.aliases.items():
        if alias in given:
            return each.number(given[alias], factor)
    return math.nan


def _is_unusual(each: TableInput, value: float) -> bool:
    low = -math.inf if each.usual_low is None else each.usual_low
    high = math.inf if each.usual_high is None else each.usual_high
    return value < low or value > high


def table_spec_from(contract: Mapping[str, Any]) -> TableSpec:
    """Build the spec from `zhuzhen.input` of a package's metadata."""
    inputs = tuple(
        TableInput(
            **{
                **entry,
                "label": Text(**entry["label"]),
                "categories": tuple(entry.get("categories", ())),
                "missing": tuple(entry.get("missing", ())),
            }
        )
        for entry in contract["inputs"]
    )
    return TableSpec(inputs, contract.get("horizon_years"))
