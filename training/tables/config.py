"""The configuration of a model of people."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from training.calibrating import CalibrationConfig
from training.config import SourceConfig, SplitConfig
from training.evaluation import EvaluationConfig
from training.later import apart, later
from training.packaging import PackageConfig
from training.reference_fit import ReferenceConfig
from training.search_space import SearchConfig
from training.tables.additive import AdditiveConfig
from training.tables.graph import TableTolerance
from training.tables.variation import RobustnessConfig, VariationConfig


@dataclass(frozen=True, slots=True)
class TableInputConfig:
    """One input: a feature of the data set, and how people and programs call it."""

    name: str
    en: str
    zh: str
    aliases: Mapping[str, float] = field(default_factory=dict)
    """Other names, with the factor to this unit; the data set's own columns need not be named."""
    variation: VariationConfig | None = later(None)
    """How much the number varies within a person; without it `robustness.spread_share`."""


@dataclass(frozen=True, slots=True)
class TableConfig:
    """Everything that decides a package of a model of people."""

    name: str
    version: str
    seed: int
    kind: str
    """`table`."""
    data: SourceConfig
    inputs: tuple[TableInputConfig, ...]
    """In the order of the graph's vector; features that are not named are not used."""
    package: PackageConfig
    horizon_years: float | None = None
    """Of the risk, where the data set has survival; None for a state that is there now."""
    split: SplitConfig = SplitConfig()
    model: AdditiveConfig = AdditiveConfig()
    calibration: CalibrationConfig = CalibrationConfig()
    reference: ReferenceConfig = ReferenceConfig(components=4)
    export: TableTolerance = TableTolerance()
    evaluation: EvaluationConfig = EvaluationConfig()
    search: SearchConfig = apart(SearchConfig())
    robustness: RobustnessConfig = later(RobustnessConfig())
    leave_site_out: bool = False
    """Whether each site is also predicted by a model of the others alone."""

    def plain_inputs(self) -> dict[str, Any]:
        """Return the inputs' labels by name."""
        return {each.name: {"en": each.en, "zh": each.zh} for each in self.inputs}
