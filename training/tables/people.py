"""The people of one training: inputs, outcome, weight, split."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.description import FeatureColumn, load_description
from datasets.manifest import Manifest
from datasets.reading import read
from datasets.splits import Part, Split, split_by_group
from models.errors import DataError
from models.findings import Text
from models.table import TableInput, TableSpec
from training.tables.config import TableConfig, TableInputConfig
from training.tables.survival import within_horizon

Floats = NDArray[np.float64]
_SEXES = {"female": "F", "male": "M", "女": "F", "男": "M"}
_YES_NO = {"true": "yes", "false": "no", "1": "yes", "0": "no", "是": "yes", "否": "no"}
_USUAL = (0.005, 0.995)


@dataclass(frozen=True, slots=True)
class People:
    """Everything known of them before training."""

    manifest: Manifest
    """As it was read."""
    outcome: Manifest
    """The same people, with what is to be predicted as their label."""
    spec: TableSpec
    values: Floats
    """Shape (people, inputs), NaN where missing."""
    truth: NDArray[np.bool_]
    weights: Floats
    """0 for those whose outcome is not known."""
    split: Split

    def known(self, part: Part) -> NDArray[np.intp]:
        """Return the positions of those of `part` whose outcome is known."""
        chosen = self.split.indices(part)
        return chosen[self.weights[chosen] > 0]


def read_people(config: TableConfig, data: Path) -> People:
    """Read, check and divide the people that `config` names.

    Raises:
        DataError: the data do not fit the configuration.
    """
    manifest = read(config.data.description, data)
    if not manifest.is_table or manifest.labels != config.package.labels:
        raise DataError(
            f"The package is to find {list(config.package.labels)} in a table; "
            f"{manifest.source} has {len(manifest.features)} features and the labels "
            f"{list(manifest.labels)}."
        )
    truth, weights = _outcome(config, manifest)
    split = split_by_group(manifest, config.split.fractions, config.split.seed, None)
    columns = {
        each.feature.name: each for each in load_description(config.data.description).features
    }
    plain = TableSpec(tuple(_input(columns, each) for each in config.inputs), config.horizon_years)
    values = np.array([_row(plain, manifest, at) for at in range(len(manifest))])
    samples = tuple(
        replace(sample, present=manifest.labels if found else ())
        for sample, found in zip(manifest.samples, truth, strict=True)
    )
    usual = _with_usual(plain, values[split.indices(Part.TRAINING)])
    return People(
        manifest, replace(manifest, samples=samples), usual, values, truth, weights, split
    )


def _outcome(config: TableConfig, manifest: Manifest) -> tuple[NDArray[np.bool_], Floats]:
    event = manifest.targets()[:, 0] == 1
    if config.horizon_years is None:
        return event, np.ones(len(manifest))
    return within_horizon(event, manifest.followups_years(), config.horizon_years)


def _input(columns: Mapping[str, FeatureColumn], each: TableInputConfig) -> TableInput:
    if each.name not in columns:
        raise DataError(
            f"The data set has no feature {each.name!r}; there are {', '.join(columns)}."
        )
    column = columns[each.name]
    feature = column.feature
    synonyms = {given.lower(): value for given, value in column.values.items()}
    for known in (_SEXES, _YES_NO):
        if set(known.values()) == set(feature.categories):
            synonyms |= known
    aliases = dict(each.aliases)
    if column.column != each.name:
        aliases[column.column] = column.scale
    return TableInput(
        name=each.name,
        label=Text(each.en, each.zh),
        unit=feature.unit,
        categories=feature.categories,
        minimum=feature.minimum,
        maximum=feature.maximum,
        optional=feature.optional,
        aliases=aliases,
        synonyms=synonyms,
        missing=tuple(column.missing),
    )


def _row(spec: TableSpec, manifest: Manifest, at: int) -> list[float]:
    """Return one person's numbers by the serving definition, `models.table`."""
    named = {
        feature.name: value
        for feature, value in zip(manifest.features, manifest.samples[at].features, strict=True)
    }
    return [each.number(named[each.name]) for each in spec.inputs]


def _with_usual(spec: TableSpec, values: Floats) -> TableSpec:
    low, high = np.nanquantile(values, _USUAL, axis=0)
    return replace(
        spec,
        inputs=tuple(
            each
            if each.categories
            else replace(each, usual_low=float(low[at]), usual_high=float(high[at]))
            for at, each in enumerate(spec.inputs)
        ),
    )
