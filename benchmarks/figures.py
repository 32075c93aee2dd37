"""What a measurement finds, and what it was meant to find."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from benchmarks.rounds import Spread


class Bound(StrEnum):
    """On which side of a target a figure must lie."""

    AT_MOST = "at most"
    AT_LEAST = "at least"
    MORE_THAN = "more than"


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure is meant to be."""

    bound: Bound
    value: float

    def met_by(self, figure: float) -> bool:
        """Whether `figure` is on the right side."""
        if self.bound is Bound.AT_MOST:
            return figure <= self.value
        return figure >= self.value if self.bound is Bound.AT_LEAST else figure > self.value


@dataclass(frozen=True, slots=True)
class Figure:
    """One number, with its spread over the rounds and its unit."""

    what: str
    spread: Spread
    unit: str
    """`x` for ratios, else `ms`, `images/s`, `s`, `MiB` or nothing."""
    target: Target | None = None

    @property
    def met(self) -> bool | None:
        """Whether the median meets the target; `None` where there is none."""
        return None if self.target is None else self.target.met_by(self.spread.median)

    def as_json(self) -> dict[str, Any]:
        """Return the figure as a JSON object."""
        return {**asdict(self), "met": self.met}


@dataclass(frozen=True, slots=True)
class Section:
    """Everything that one measure found."""

    key: str
    """Short name by which the measure is chosen on the command line."""
    title: str
    method: tuple[str, ...]
    """How it was measured, one paragraph each."""
    ratios: tuple[Figure, ...]
    absolutes: tuple[Figure, ...] = ()
    """The numbers behind the ratios, on this machine."""
    measured: str = ""
    """When, and beside what load, where it was measured anew after the other sections."""

    def as_json(self) -> dict[str, Any]:
        """Return the section as a JSON object."""
        return {
            "measure": self.key,
            "title": self.title,
            "method": list(self.method),
            "ratios": [figure.as_json() for figure in self.ratios],
            "absolutes": [figure.as_json() for figure in self.absolutes],
            **({"measured": self.measured} if self.measured else {}),
        }


def section_from(entry: dict[str, Any]) -> Section:
    """Return the section that `Section.as_json` made `entry` of."""
    return Section(
        entry["measure"],
        entry["title"],
        tuple(entry["method"]),
        tuple(_figure_from(figure) for figure in entry["ratios"]),
        tuple(_figure_from(figure) for figure in entry["absolutes"]),
        entry.get("measured", ""),
    )


def _figure_from(entry: dict[str, Any]) -> Figure:
    target = entry["target"]
    return Figure(
        entry["what"],
        Spread(**entry["spread"]),
        entry["unit"],
        Target(Bound(target["bound"]), target["value"]) if target else None,
    )


def scaled(spread: Spread, factor: float) -> Spread:
    """Return `spread` in another unit."""
    return Spread(
        spread.median * factor, spread.lower_quartile * factor, spread.upper_quartile * factor
    )
