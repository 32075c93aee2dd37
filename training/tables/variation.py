"""How much an input of a person varies although the person is the same."""

from dataclasses import dataclass

from models.errors import DataError


@dataclass(frozen=True, slots=True)
class VariationConfig:
    """Variation of one number within a person, of the measurement and of biology together."""

    source: str
    """Where the figure is from, or that it is a choice of one's own; for the card."""
    sd: float | None = None
    """Standard deviation, in the input's unit."""
    cv_percent: float | None = None
    """Coefficient of variation: the standard deviation as a percentage of the value."""

    def __post_init__(self) -> None:
        given = [value for value in (self.sd, self.cv_percent) if value is not None]
        if len(given) != 1 or not given[0] > 0:
            raise DataError(
                "The variation of an input needs either sd or cv_percent, above 0; found "
                f"sd {self.sd} and cv_percent {self.cv_percent}."
            )


@dataclass(frozen=True, slots=True)
class RobustnessConfig:
    """How much inputs are changed whose variation is not stated."""

    spread_share: float = 0.2
    """Standard deviation of a number without a stated one, as a share of its spread (the standard
    deviation over the training part): a choice of ours."""
    category_share: float = 0.05
    """Share of the people whose category becomes that of another one: a choice of ours."""
    draws: int = 20
    """Times that what is random is drawn; figures are means over them."""
