"""Units: UCUM expressions parsed by ucumvert and converted by pint to the unit of an input.

Between mass and amount of substance the molar mass of the input's analyte is used, with the factor
that the sources of the equations use; pint knows no analytes. HbA1c in mmol/mol (IFCC) becomes %
(NGSP) by the master equation NGSP = IFCC / 10.929 + 2.15, which is no change of unit.
"""

from functools import cache, lru_cache
from threading import Lock
from typing import Any

from models.risk.input_kinds import Input

_SPELLINGS = {
    "mmHg": "mm[Hg]",
    "mm Hg": "mm[Hg]",
    "毫米汞柱": "mm[Hg]",
    "°C": "Cel",
    "℃": "Cel",
    "°F": "[degF]",
    "10^9/L": "10*9/L",
    "×10^9/L": "10*9/L",
    "kg/m^2": "kg/m2",
    "kg/m²": "kg/m2",
    "mL/min/1.73m2": "mL/min/{1.73_m2}",
    "mL/min/1.73m^2": "mL/min/{1.73_m2}",
    "mL/min/1.73m²": "mL/min/{1.73_m2}",
    "mL/min/1.73 m2": "mL/min/{1.73_m2}",
    "mL/min/1.73 m²": "mL/min/{1.73_m2}",
    "ml/min/1.73m2": "mL/min/{1.73_m2}",
    "bpm": "/min",
    "次/分": "/min",
    "岁": "a",
    "years": "a",
    "IU/L": "U/L",
    "[IU]/L": "U/L",
}
"""Spellings that are not UCUM and mean one thing only."""

_IFCC = "mmol/mol"
_IFCC_PER_NGSP, _NGSP_AT_ZERO_IFCC = 10.929, 2.15
_LONGEST = 32
_reading = Lock()


class UnitError(ValueError):
    """A unit that is not understood, or does not measure what the input measures."""


@cache
def _registry() -> Any:
    # Takes seconds to import and build, so only those who send other units wait for it, once.
    from ucumvert import PintUcumRegistry

    return PintUcumRegistry()


def conversion(entry: Input, unit: str) -> tuple[float, float]:
    """Return factor and offset by which a value in `unit` becomes one in the unit of the input.

    Raises:
        UnitError: `unit` is no unit or one of another quantity.
    """
    if not unit.strip() or len(unit) > _LONGEST:
        raise UnitError
    unit = unit.strip().replace("μ", "u").replace("µ", "u")
    unit = _SPELLINGS.get(unit, unit)
    if unit == entry.unit:
        return 1.0, 0.0
    return _conversion(entry.name, entry.unit, entry.molar_mass_g_mol, unit)


@lru_cache(maxsize=1024)
def _conversion(
    name: str, wanted: str, molar_mass_g_mol: float | None, unit: str
) -> tuple[float, float]:
    if name == "hba1c_percent" and unit == _IFCC:
        return 1 / _IFCC_PER_NGSP, _NGSP_AT_ZERO_IFCC
    if wanted in ("", "1", "{score}"):
        raise UnitError
    with _reading:
        try:
            return _by_pint(wanted, molar_mass_g_mol, unit)
        except Exception as error:  # the errors of the parser and of pint are many
            raise UnitError from error


def _by_pint(wanted: str, molar_mass_g_mol: float | None, unit: str) -> tuple[float, float]:
    registry = _registry()
    given, target = registry.from_ucum(unit), registry.from_ucum(wanted)
    if molar_mass_g_mol is not None and given.dimensionality != target.dimensionality:
        molar_mass = molar_mass_g_mol * registry.from_ucum("g/mol")
        by_mass = (given / molar_mass).dimensionality == target.dimensionality
        given = given / molar_mass if by_mass else given * molar_mass
    if unit in ("Cel", "[degF]", "K"):
        at_zero, at_one = (
            registry.Quantity(value, given.units).to(target.units).magnitude for value in (0, 1)
        )
        return float(at_one - at_zero), float(at_zero)
    return float((given / target).to("dimensionless").magnitude), 0.0
