"""The training configuration: YAML files into frozen dataclasses, nothing unknown accepted."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from datasets.splits import Part
from models.errors import DataError
from models.preprocessing import InputSpec
from training.augmentation import AugmentationConfig
from training.calibrating import CalibrationConfig
from training.evaluation import EvaluationConfig
from training.export import ExportConfig
from training.later import apart, later
from training.loop import LoopConfig, NetworkConfig, OptimisationConfig, SelectionConfig
from training.lungs import LungConfig
from training.packaging import PackageConfig
from training.quantisation import QuantisationConfig
from training.reference_fit import ReferenceConfig
from training.released_graph import GraphConfig
from training.sampling import SamplingConfig
from training.search_space import SearchConfig
from training.teacher import TeacherConfig
from training.tile_augmentation import TileAugmentationConfig

if typing.TYPE_CHECKING:
    from training.tables.config import TableConfig

FOLDER = Path(__file__).parent / "configs"
_YAML = (".yaml", ".yml")


class ConfigError(DataError):
    """A training configuration is absent, or says something that is not understood."""


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """Which data set is read."""

    source: str
    """Name of a data set that the project describes, or the YAML file that describes one, named
    as seen from the folder of the configuration."""
    folder: Path | None = apart(None, key=False)
    """Where that file lies here; no key of the configuration."""

    @property
    def description(self) -> str:
        """What `datasets.reading.read` takes."""
        return self.source if self.folder is None else str(self.folder / self.source)


@dataclass(frozen=True, slots=True)
class DataConfig(SourceConfig):
    """Where the images come from."""

    source: str = "chest_xray_kermany"
    cache_side_px: int = 224
    """Side of the cached images; augmentation resamples these to the network's side."""
    images: int | None = None
    """How many images are used, whole patients only; `None` uses all."""


@dataclass(frozen=True, slots=True)
class SplitConfig:
    """Shares of the parts; together 1."""

    training: float = 0.7
    validation: float = 0.15
    test: float = 0.15
    seed: int = 1
    lent: float = later(0.0)
    """Share of the validation part that is trained on all the same, whole groups, once the
    settings are chosen. The rest chooses the epoch and calibrates; the test part stays what it is
    without."""

    @property
    def fractions(self) -> dict[Part, float]:
        """The shares by part."""
        return {
            Part.TRAINING: self.training,
            Part.VALIDATION: self.validation,
            Part.TEST: self.test,
        }


@dataclass(frozen=True, slots=True)
class AcquisitionConfig:
    """The acquisition propensity and the shifted validation; see `datasets.acquisition`."""

    folds: int = 5
    swapped_share: float = 0.25
    weight_floor: float = 0.02
    seed: int = 0
    measured: bool = later(True)
    """Whether acquisition is told from the pixels: of stained tiles, colour and texture are what
    a reader looks at, and there is nothing to match."""


@dataclass(frozen=True, slots=True)
class MembersConfig:
    """Several trainings with different seeds, averaged by the one graph that runs them all."""

    count: int = 1
    cross_fitted: bool = later(False)
    """Whether each member learns from all but a fold of its own of the training and the validation
    part together, so that the model has learnt from all of both; calibration, thresholds and gates
    then take what each sample's own member says of it, which has not learnt from it (Barber et al.,
    Ann Stat 2021;49:486, "cross-conformal"). Needs `selection.keep: last`: a fold that chose the
    epoch would be flattered."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ConfigError(f"members: count {self.count}; expected at least 1.")
        if self.cross_fitted and self.count < 2:
            raise ConfigError(
                f"members: count {self.count}; expected at least 2 for members that are "
                "cross-fitted."
            )


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything that decides a package, in one tree; its digest goes into the evaluation."""

    name: str
    version: str
    seed: int
    input: InputSpec
    package: PackageConfig
    data: DataConfig = DataConfig()
    split: SplitConfig = SplitConfig()
    acquisition: AcquisitionConfig = AcquisitionConfig()
    network: NetworkConfig = NetworkConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    sampling: SamplingConfig = SamplingConfig()
    optimisation: OptimisationConfig = OptimisationConfig()
    selection: SelectionConfig = SelectionConfig()
    members: MembersConfig = MembersConfig()
    graph: GraphConfig = GraphConfig()
    calibration: CalibrationConfig = CalibrationConfig()
    reference: ReferenceConfig = ReferenceConfig()
    export: ExportConfig = ExportConfig()
    quantisation: QuantisationConfig = QuantisationConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    tile_augmentation: TileAugmentationConfig = later(TileAugmentationConfig())
    lungs: LungConfig = later(LungConfig())
    teacher: TeacherConfig = later(TeacherConfig())
    search: SearchConfig = apart(SearchConfig())

    def __post_init__(self) -> None:
        if not self.members.cross_fitted:
            return
        if self.selection.keep != "last":
            raise ConfigError(
                f"selection.keep is {self.selection.keep!r}; expected last, for "
                "members.cross_fitted."
            )
        if self.split.lent:
            raise ConfigError(
                f"split.lent is {self.split.lent:g}; expected 0, for members.cross_fitted."
            )

    @property
    def loop(self) -> LoopConfig:
        """What one member's training needs."""
        return LoopConfig(
            self.seed,
            self.input,
            self.network,
            self.optimisation,
            self.augmentation,
            self.selection,
            self.tile_augmentation,
            self.lungs,
            self.teacher,
        )


def available() -> list[str]:
    """Return the names of the configurations that come with the project."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_config(name: str) -> TrainConfig:
    """Read the configuration of a model of images; see `load_any_config`.

    Raises:
        ConfigError: it is of another kind, too.
    """
    config = load_any_config(name)
    if not isinstance(config, TrainConfig):
        raise ConfigError(f"{name} is the configuration of a model of people, not of images.")
    return config


def load_any_config(name: str) -> "TrainConfig | TableConfig":
    """Read the configuration `name` of the project, or of the YAML file at that path.

    Raises:
        ConfigError: it is absent, or a key is unknown, missing or of the wrong kind.
    """
    return build_config(read_content(name))


def build_config(content: Mapping[str, Any]) -> "TrainConfig | TableConfig":
    """Return the configuration of `content`, the keys and values of `read_content`.

    Raises:
        ConfigError: a key is unknown, missing or of the wrong kind.
    """
    from training.tables.config import TableConfig  # it is built upon this module

    if "sheet" in content and "package" not in content:
        raise ConfigError(
            "This file describes a data set, not a model. Train the configuration that names it as "
            "`data: {source: ...}`; docs/training.md shows both."
        )
    kind = TableConfig if content.get("kind") == "table" else TrainConfig
    config = typing.cast("TrainConfig | TableConfig", _build(kind, content, ""))
    source = Path(config.data.source)
    if not source.is_absolute():
        return config
    data: Any = replace(config.data, source=source.name, folder=source.parent)
    return replace(config, data=data)


def read_content(name: str) -> dict[str, Any]:
    """Return the keys and values of the configuration `name`, see `load_any_config`.

    Those of the configuration that it `extends` are under them; a description of data that lies
    beside the file is named by its whole path.

    Raises:
        ConfigError: it is absent or no YAML.
    """
    return _read(Path(name) if name.endswith(_YAML) else FOLDER / f"{name}.yaml", name, ())


def _read(path: Path, name: str, above: tuple[Path, ...]) -> dict[str, Any]:
    """Read the file at `path`, which is called `name` by the last of `above`, which extends it."""
    if path.resolve() in above:
        raise ConfigError(f"{name} extends itself, by way of {above[-1].name}; take one out.")
    if not path.is_file():
        asked = f", which {above[-1].name} extends" if above else ""
        raise ConfigError(
            f"There is no file {name}{asked}; it is looked for from the folder of what names it."
            if name.endswith(_YAML)
            else f"There is no training configuration {name!r}{asked}; known are "
            f"{', '.join(available())}. A YAML file can be named too."
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path.name} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path.name} must hold keys and values.")
    content = _located(content, path.parent)
    base = content.pop("extends", None)
    if base is None:
        return content
    base = str(base)
    below = path.parent / base if base.endswith(_YAML) else FOLDER / f"{base}.yaml"
    return laid_over(_read(below, base, (*above, path.resolve())), content)


def _located(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    data = content.get("data")
    if not isinstance(data, dict):
        return content
    source = data.get("source")
    if not isinstance(source, str) or not source.endswith(_YAML):
        return content
    return {**content, "data": {**data, "source": str((folder / source).resolve())}}


def laid_over(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `changes` in the place of what it has, nested keys one by one."""
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        both = isinstance(value, dict) and isinstance(below, dict)
        merged[key] = laid_over(below, value) if both and below is not None else value
    return merged


def _build(kind: Any, value: Any, where: str) -> Any:
    """Return `value`, out of YAML, as `kind`; `where` is its place for the error's text."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind, value, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return None if value is None else _build(arguments[0], value, where)
    if origin is tuple:
        return _tuple(arguments, value, where)
    if origin is not None and issubclass(origin, Mapping):
        return _plain(dict, value, where)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return _plain(kind, value, where)


def _dataclass(kind: type, value: Any, where: str) -> Any:
    fields = {f.name: f for f in dataclasses.fields(kind) if f.metadata.get("key", True)}
    given = _plain(dict, {} if value is None else value, where)
    unknown = sorted(set(given) - set(fields))
    if unknown:
        raise ConfigError(
            f"{where or 'The configuration'} has the unknown key {unknown[0]!r}; known are "
            f"{', '.join(fields)}."
        )
    hints = typing.get_type_hints(kind)
    built = {
        name: _build(hints[name], each, f"{where}.{name}".strip("."))
        for name, each in given.items()
    }
    absent = dataclasses.MISSING
    without = [n for n, f in fields.items() if f.default is absent and f.default_factory is absent]
    needed = [name for name in without if name not in given]
    if needed:
        raise ConfigError(f"{where or 'The configuration'} lacks the key {needed[0]!r}.")
    return kind(**built)


def _tuple(arguments: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    entries = _plain(list, value, where)
    if arguments[-1] is Ellipsis:
        return tuple(_build(arguments[0], entry, where) for entry in entries)
    if len(entries) != len(arguments):
        raise ConfigError(f"{where} has {len(entries)} values, expected {len(arguments)}.")
    return tuple(_build(k, entry, where) for k, entry in zip(arguments, entries, strict=True))


def _plain(kind: Any, value: Any, where: str) -> Any:
    wrong = not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
    if kind is not Any and wrong:
        raise ConfigError(f"{where or 'The configuration'} is {value!r}, expected {kind.__name__}.")
    return value
