"""What an operator states of everybody in a population, because their data do not tell it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from models.errors import InputError
from models.risk.assessment import read_person


@dataclass(frozen=True, slots=True)
class Known:
    """What holds for everybody."""

    inputs: Mapping[str, object] = field(default_factory=dict)
    """Inputs by name, for those whose own data do not tell them: `region_of_china` of a village."""
    lists_complete: bool = False
    """Conditions and medications are complete lists: what is absent is not there."""


def read_known(statements: Iterable[str], *, lists_complete: bool = False) -> Known:
    """Read `NAME=VALUE` statements.

    Raises:
        InputError: one is no such statement, names no input or has a value that it does not take.
    """
    inputs: dict[str, object] = {}
    for statement in statements:
        name, sign, value = statement.partition("=")
        if not sign or not value.strip():
            raise InputError(f"--given {statement[:40]!r} is not NAME=VALUE.")
        (given,) = read_person({name.strip(): value.strip()}).values()
        if given.problem is not None or not np.isfinite(given.value):
            raise InputError(given.problem.en if given.problem else f"{name} has no value.")
        if given.name in inputs:
            raise InputError(f"--given states {given.name} twice.")
        inputs[given.name] = value.strip()
    return Known(inputs, lists_complete)
