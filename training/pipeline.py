"""From a data set to a released package: every step of a training, in order.

data -> members -> export (parity gate) -> calibration -> reference -> INT8 (accuracy gate)
     -> evaluation -> card -> package -> registry

A run is named by the digests of its configuration and data, so starting it again after it was
killed continues it: images are cached, each epoch is a checkpoint, and what follows takes minutes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.manifest_file import write_manifest
from datasets.splits import Part
from models.package import ModelPackage
from training.against_champion import (
    KEY,
    AgainstChampion,
    Made,
    hold_against_champion,
    record_against_champion,
    tell_without_champion,
)
from training.card import render_card
from training.config import TrainConfig
from training.evaluation import headline
from training.graphs import Graphs, export_graph, fit_graphs
from training.locked_set import LockedSet, locked_set_of, write_locked_set
from training.loop import Watch
from training.members import train_members
from training.packaging import Contents, require_complete, write_package
from training.provenance import config_digest, digest_of_settings, plain, source_code
from training.registry import LOCKED_SET, PACKAGE
from training.replacing import is_used, require_free
from training.report import draw, embed_far_inputs, evaluate, evaluated
from training.study_data import StudyData, read_study_data
from training.team import ALONE, Team
from training.tracking import Tracker


@dataclass(frozen=True, slots=True)
class Places:
    """Where a training reads and writes."""

    data: Path
    """Folder of all data sets (`ZHUZHEN_DATA`)."""
    home: Path
    """Folder of all local state (`ZHUZHEN_HOME`)."""
    packages: Path
    """Folder that gets `<name>/<version>/`."""
    reviews: Path | None = None
    """File of reviews that are trained on too."""

    @property
    def images(self) -> Path:
        """Folder of decoded images."""
        return self.home / "cache" / "images"


def run(config: TrainConfig, places: Places, watch: Watch, team: Team = ALONE) -> ModelPackage:
    """Train, measure and package; return the verified package. Of a `team`, this is the leader.

    Raises:
        DataError: data and configuration do not fit each other, or the version is another package.
        PackageInvalidError: what the package would say of itself is not complete.
        ExportRefusedError: the exported graph does not answer as the network does.
    """
    require_complete(config.name, config.version, config.package, config.input)
    watch.stage("reading, decoding and dividing the data")
    study = read_study(config, places)
    # The others find the images decoded.
    team.wait()
    root, made_of = places.packages / config.name / config.version, _tags(config, study)
    require_free(root, places.home, made_of, watch)
    tell_without_champion(made_at(config.name, config.version, places), watch)
    folder = _run_folder(config, study, places.home)
    # Not in MLflow: it names samples. What reviewers said of one stands in it, too.
    write_manifest(study.manifest, folder / "manifest.parquet")
    tracker = Tracker(places.home, folder / "mlflow-run", f"{config.name} {config.version}")
    tracker.describe(plain(config), made_of)
    try:
        package = _make(config, study, places, folder, _Tracked(watch, tracker), tracker, team)
    except BaseException:
        # A killed run stays RUNNING and is taken up again; one that failed says so.
        tracker.finish(succeeded=False)
        raise
    tracker.finish(succeeded=True)
    return package


def follow(config: TrainConfig, places: Places, watch: Watch, team: Team) -> None:
    """Train along with the leader of `team`, to the end of the training; write nothing."""
    team.wait()
    study = read_study(config, places)
    train_members(config, study, weights_folder(config, study, places.home), watch, team)


def read_study(config: TrainConfig, places: Places) -> StudyData:
    """Read the data of a training; see `read_study_data`."""
    return read_study_data(config, places.data, places.images, places.reviews)


def _make(
    config: TrainConfig,
    study: StudyData,
    places: Places,
    folder: Path,
    watch: Watch,
    tracker: Tracker,
    team: Team,
) -> ModelPackage:
    watch.stage(f"training {config.members.count} member(s)")
    weights = weights_folder(config, study, places.home)
    graph, scores = train_members(config, study, weights, watch, team)
    watch.stage("exporting, with the parity gate")
    parity = export_graph(config, study, graph, folder / "model.onnx")
    graphs = fit_graphs(config, study, folder / "model.onnx", parity, watch)
    watch.stage("evaluating on the test part")
    embeddings = embed_far_inputs(config, study, graphs, places.data)
    evaluation = evaluate(config, study, graphs, scores, embeddings)
    figures = draw(study, graphs, scores, embeddings, folder / "figures")
    kept = locked_set_of(evaluated(study, graphs, Part.TEST), _split_digest(study))
    held = hold_against_champion(made_at(config.name, config.version, places), kept, folder)
    evaluation[KEY] = dict(held.facts)
    watch.stage("packaging")
    package = write_package(
        _contents(config, graphs, evaluation, (*figures, *held.figures)),
        places.packages / config.name / config.version,
        used=is_used(config.name, config.version, places.home),
    )
    record_package(config, evaluation, package, kept, held, folder, tracker, watch)
    return package


def made_at(name: str, version: str, places: Places) -> Made:
    """Return the version that is made among `places`, for what holds it against the champion."""
    return Made(name, version, places.packages / name / version, places.home)


def record_package(
    config: TrainConfig,
    evaluation: Mapping[str, Any],
    package: ModelPackage,
    kept: LockedSet,
    held: AgainstChampion,
    folder: Path,
    tracker: Tracker,
    watch: Watch,
) -> None:
    """Keep in the run what was made, register it, and tell how it fares against the champion."""
    tracker.figures(headline(evaluation))
    tracker.files(package.root, PACKAGE)
    write_locked_set(kept, folder / LOCKED_SET)
    tracker.files(folder / LOCKED_SET, LOCKED_SET)
    tracker.files(folder / "figures", "figures")
    tracker.register(config.name, package.reference_to.digest, config.version)
    record_against_champion(held, folder, tracker, watch)


def _split_digest(study: StudyData) -> str:
    return study.split.digest_for(study.manifest)


def _contents(
    config: TrainConfig,
    graphs: Graphs,
    evaluation: Mapping[str, Any],
    figures: tuple[Path, ...],
) -> Contents:
    return Contents(
        name=config.name,
        version=config.version,
        config=config.package,
        input_spec=config.input,
        calibration=graphs.calibration,
        calibration_facts={"part": _calibrated_on(config), **plain(config.calibration)},
        reference=graphs.reference,
        evaluation=evaluation,
        onnx=graphs.onnx,
        onnx_int8=graphs.onnx_int8,
        card=render_card(config, evaluation, [figure.name for figure in figures]),
        map_cells=graphs.outputs[Part.TEST].activation_map.shape[-1],
        figures=figures,
    )


def _calibrated_on(config: TrainConfig) -> str:
    if config.members.cross_fitted:
        return f"{Part.TRAINING} and {Part.VALIDATION}, cross-fitted"
    return Part.VALIDATION.value


def _run_folder(config: TrainConfig, study: StudyData, home: Path) -> Path:
    """Return the folder of the run; another configuration, data or split gets another one."""
    name = f"{config.name}-{config.version}-{_short(config_digest(config))}-{_data(study)}"
    folder = home / "training" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def weights_folder(config: TrainConfig, study: StudyData, home: Path) -> Path:
    """Return the folder of the members' checkpoints.

    It is named by what decides the weights alone, so that a change of what follows (calibration,
    reference, card) does not train again what would come out the same.
    """
    decisive = (config.loop, config.sampling, config.data, config.acquisition, config.members)
    digest = _short(digest_of_settings(decisive))
    return home / "training" / f"{config.name}-weights-{digest}-{_data(study)}"


def _data(study: StudyData) -> str:
    return _short(study.split.digest_for(study.manifest))


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


def _tags(config: TrainConfig, study: StudyData) -> dict[str, Any]:
    return {
        "config_digest": config_digest(config),
        "manifest_digest": study.manifest.digest,
        "split_digest": study.split.digest_for(study.manifest),
        "code": source_code(),
    }


class _Tracked:
    """Passes on what a training tells, and keeps each epoch's scores as curves."""

    def __init__(self, watch: Watch, tracker: Tracker) -> None:
        self._watch = watch
        self._tracker = tracker

    def stage(self, text: str) -> None:
        self._watch.stage(text)

    def step(self, done: int, total: int) -> None:
        self._watch.step(done, total)

    def epoch(self, member: int, epoch: int, scores: dict[str, float]) -> None:
        curves = {f"member_{member}_{name}": value for name, value in scores.items()}
        self._tracker.figures(curves, step=epoch)
        self._watch.epoch(member, epoch, scores)
