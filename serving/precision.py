"""The numerical precision of a network."""

from enum import StrEnum


class Precision(StrEnum):
    """Which graph of a package is run."""

    FP32 = "fp32"
    INT8 = "int8"
    """Quantised: faster on some processors, within the loss its evaluation states."""
