"""What an input is: its kind, unit, plausible range, codes and label."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from models.findings import Text


class Kind(StrEnum):
    """What values an input takes."""

    NUMBER = "number"
    FLAG = "flag"
    """True or false."""
    CHOICE = "choice"


@dataclass(frozen=True, slots=True)
class Input:
    """One input."""

    name: str
    label: Text
    kind: Kind = Kind.NUMBER
    unit: str = ""
    """UCUM; empty for flags and choices."""
    low: float = float("-inf")
    high: float = float("inf")
    """Plausible range, both ends included."""
    loinc: tuple[str, ...] = ()
    """Codes under which it is found in FHIR observations, the preferred one first."""
    choices: tuple[str, ...] = ()
    synonyms: Mapping[str, str] | None = None
    """Other spellings of the choices that senders use."""
    molar_mass_g_mol: float | None = None
    """With which mass concentrations become molar ones; the factor that the equations' sources
    use, where it differs from the chemical one."""
    derived_from: tuple[str, ...] = ()
    """Inputs from which it follows where it is not given itself (`models.risk.derived`)."""
    lasts_days: int | None = None
    """A measurement older than this is told to be old; None where age does not matter."""
    whole: bool = False
    """Takes whole numbers only."""
    takes: Text | None = None
    """What it takes, where its words are too many to be listed."""

    @property
    def places(self) -> Mapping[str, int]:
        """Index of each word of a choice."""
        return _places(self.choices)


@cache
def _places(choices: tuple[str, ...]) -> Mapping[str, int]:
    return {word: place for place, word in enumerate(choices)}


def number(
    name: str,
    unit: str,
    low: float,
    high: float,
    label: tuple[str, str],
    *loinc: str,
    molar: float | None = None,
    parts: tuple[str, ...] = (),
    lasts: int | None = None,
    whole: bool = False,
) -> Input:
    """Return an input that is a number in `unit`, plausible from `low` to `high`."""
    return Input(
        name,
        Text(*label),
        unit=unit,
        low=low,
        high=high,
        loinc=loinc,
        molar_mass_g_mol=molar,
        derived_from=parts,
        lasts_days=lasts,
        whole=whole,
    )


def flag(name: str, en: str, zh: str, *loinc: str) -> Input:
    """Return an input that is true or false."""
    return Input(name, Text(en, zh), Kind.FLAG, low=0, high=1, loinc=loinc)


def choice(
    name: str,
    label: tuple[str, str],
    *choices: str,
    loinc: tuple[str, ...] = (),
    synonyms: Mapping[str, str] | None = None,
    takes: Text | None = None,
) -> Input:
    """Return an input that is one of `choices`."""
    return Input(
        name,
        Text(*label),
        Kind.CHOICE,
        low=0,
        high=len(choices) - 1,
        loinc=loinc,
        choices=choices,
        synonyms=synonyms,
        takes=takes,
    )
