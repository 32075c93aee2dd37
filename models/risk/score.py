"""What a risk score is: a published equation with everything that decides where it may be used."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.codes import ICD_10
from models.findings import Code, Text
from models.risk.inputs import INPUTS
from models.risk.scales import Scale

if TYPE_CHECKING:
    from models.risk.recalibration import Recalibration

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Columns = Mapping[str, Floats]
"""Inputs by name, shape (people,) each, NaN where missing, infinite where what was given could not
be understood. A choice is the index of its word in `Input.choices`, a flag 0 or 1."""
Kernel = Callable[[Columns], Floats]
"""From the inputs to the score, shape (people,): percent for probabilities. Inputs that the score
requires are finite and within its ranges; optional ones may be NaN."""


class Status(IntEnum):
    """What became of one person's score."""

    OK = 0
    EXTRAPOLATED = 1
    """A number, though an input lies just outside what the equation was made on."""
    MISSING = 2
    NOT_UNDERSTOOD = 3
    """A value that is no number, word or unit that the input takes."""
    IMPLAUSIBLE = 4
    OUT_OF_POPULATION = 5

    @property
    def word(self) -> str:
        """As it is written in answers and tables."""
        return self.name.lower()

    @property
    def has_value(self) -> bool:
        """Whether there is a number."""
        # By number: the names of an enumeration's members are slow to look up from inside it.
        return self.value <= 1


class Measure(StrEnum):
    """What the value is."""

    PROBABILITY = "probability"
    """Percent within the horizon."""
    POINTS = "points"
    CLASS = "class"
    """A category, whose value is its rank from 0 in the order of the bands."""
    QUANTITY = "quantity"
    """An estimated quantity, such as eGFR."""


@dataclass(frozen=True, slots=True)
class Need:
    """One input of a score, and the values for which it was made."""

    name: str
    required: bool = True
    low: float = float("-inf")
    high: float = float("inf")
    """The population's range, both ends included; outside it there is no number ..."""
    wider_low: float | None = None
    wider_high: float | None = None
    """... unless the source allows a little more, which is marked as extrapolated."""
    below: bool = False
    """`high` itself is outside."""
    choices: tuple[str, ...] = ()
    """The words that this score takes, where not all of the input's; neighbours in its list."""
    default: float | None = None
    """For options of the equation (its horizon, its region), never for facts about a person."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition over several inputs under which there is no number."""

    status: Status
    blames: str
    """Name of the input to look at."""
    broken: Callable[[Columns], Mask]
    told: Text
    """What was found and what is needed."""


@dataclass(frozen=True, slots=True)
class Band:
    """One category of a score's values."""

    name: str
    label: Text
    from_value: float = float("-inf")
    """Smallest value that belongs to it."""
    high_risk: bool = False
    """Calls for attention: cards warn from here."""
    advice: Text | None = None
    """What the guideline says to do next, as information."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that must be told whatever the total is."""

    applies: Callable[[Columns], Mask]
    told: Text


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of one input by the thresholds of a guideline, told beside the value."""

    name: str
    label: Text
    input: str
    names: tuple[str, ...]
    stage: Callable[[Columns], NDArray[np.intp]]
    """Index into `names`, shape (people,)."""


Bands = Callable[[Floats, Columns], NDArray[np.intp]]
"""From values and inputs to indices of bands, where edges depend on age or sex."""


@dataclass(frozen=True, slots=True)
class Score:
    """One published score."""

    id: str
    version: str
    """Of the equation as it is built here: edition of the source, then our revision."""
    title: Text
    measure: Measure
    unit: str
    """UCUM."""
    needs: tuple[Need, ...]
    kernel: Kernel
    bands: tuple[Band, ...]
    """In the order of rising values."""
    guideline: Text
    """That defines the bands."""
    outcome: Text
    population: Text
    limits: Text
    """When it must not be used, and what to mind."""
    formula: str
    citation: str
    doi: str | None
    terms: Text
    verified: str
    """Against what, and how closely."""
    deviations: str = "None known."
    """Where public copies or the source itself differ from what is built here."""
    scale: Scale = Scale.VALUE
    rules: tuple[Rule, ...] = ()
    alerts: tuple[Alert, ...] = ()
    stages: tuple[Stage, ...] = ()
    horizon_years: float | None = None
    """Fixed horizon; scores with an input `horizon_years` take it from there."""
    outcome_codes: tuple[Code, ...] = ()
    """ICD-10."""
    off_because: Text | None = None
    """Why an operator must enable it by name; None where it is on by default."""
    known_error: float = 0.0
    """In the value's unit: closer to a band's edge than this, the category is uncertain."""
    decimals: int = 1
    """Shown; categories are decided on the unrounded value."""
    choose_bands: Bands | None = None
    """None where the bands' own `from_value` decide."""
    edges_of: Callable[[Columns], tuple[float, ...]] | None = None
    """The edges that hold for one person, where `choose_bands` decides by age."""
    reference: Mapping[str, float] = field(default_factory=dict)
    """Values that contributions are told against; inputs not named count as they are."""
    levers: tuple[str, ...] = ()
    """Modifiable inputs for which it may be told what the number would be at their target."""
    not_levers: tuple[tuple[str, str], ...] = ()
    """Inputs with the sex for which they must not be offered."""
    loinc: str | None = None
    """Code of the score itself."""
    column_names: Mapping[str, str] = field(default_factory=dict)
    """Short column names whose meaning depends on the score, with the input they stand for."""
    recalibration: "Recalibration | None" = None
    """Set where this is a published score fitted to local data, which keeps its own identifier."""

    checked: tuple[Need, ...] = field(init=False, repr=False)
    """The needs, preceded by the parts from which their inputs can be derived."""

    def __post_init__(self) -> None:
        own = {need.name for need in self.needs}
        parts = (part for need in self.needs for part in INPUTS[need.name].derived_from)
        before = (Need(part, required=False) for part in parts if part not in own)
        object.__setattr__(self, "checked", (*before, *self.needs))

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the inputs without which there is no number."""
        return tuple(need.name for need in self.needs if need.required)

    def need(self, name: str) -> Need | None:
        """Return what the score needs of an input, None where it does not use it."""
        return next((need for need in self.needs if need.name == name), None)

    def categorise(self, values: Floats, columns: Columns) -> NDArray[np.intp]:
        """Return the index of each value's band, shape (people,)."""
        if self.choose_bands is not None:
            return self.choose_bands(values, columns)
        found = np.zeros(values.shape, np.intp)
        for band in self.bands[1:]:
            found += values >= band.from_value
        return found


def one_of(name: str, *words: str, required: bool = True, default: str | None = None) -> Need:
    """Return the need of a choice, of which a score takes `words` alone."""
    order = INPUTS[name].choices
    places = sorted(order.index(word) for word in words)
    if places != list(range(places[0], places[-1] + 1)):
        raise ValueError(f"The words that a score takes of {name} must be neighbours: {words}.")
    return Need(
        name,
        required,
        low=places[0],
        high=places[-1],
        choices=words,
        default=None if default is None else float(order.index(default)),
    )


def free_of(name: str) -> Need:
    """Return the need that a condition be absent; nothing said about it refuses nobody."""
    return Need(name, required=False, low=0, high=0)


def points(values: Floats, edges: tuple[float, ...], scores: tuple[float, ...]) -> Floats:
    """Return `scores[k]` for values from `edges[k-1]` on, below `edges[k]`."""
    return np.asarray(scores, np.float64)[np.searchsorted(edges, values, side="right")]


def points_above(values: Floats, edges: tuple[float, ...], scores: tuple[float, ...]) -> Floats:
    """Return `scores[k]` for values above `edges[k-1]`, up to and including `edges[k]`."""
    return np.asarray(scores, np.float64)[np.searchsorted(edges, values, side="left")]


def icd10(value: str, display: str) -> Code:
    """Return an ICD-10 code (WHO edition)."""
    return Code(ICD_10, value, display)


HDL_BELOW_TOTAL = Rule(
    Status.IMPLAUSIBLE,
    "hdl_cholesterol_mmol_l",
    lambda columns: columns["hdl_cholesterol_mmol_l"] >= columns["total_cholesterol_mmol_l"],
    Text(
        "HDL cholesterol is not below total cholesterol, of which it is a part. "
        "Check both values and their units.",
        "高密度脂蛋白胆固醇不应大于或等于总胆固醇，请核对两项数值及单位。",
    ),
)
DIASTOLIC_BELOW_SYSTOLIC = Rule(
    Status.IMPLAUSIBLE,
    "dbp_mmhg",
    lambda columns: columns["dbp_mmhg"] >= columns["sbp_mmhg"],
    Text(
        "Diastolic blood pressure is not below systolic. Check whether they were swapped.",
        "舒张压不应大于或等于收缩压，请核对是否填反。",
    ),
)
