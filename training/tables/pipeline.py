"""From a table to a released package: every step, in order.

people -> additive model -> graph (parity gate) -> calibration -> reference -> evaluation -> card
       -> package -> registry

A whole training takes seconds, so one that was killed is simply started again; the same
configuration and data give the same package.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.splits import Part
from models.calibration import Calibration
from models.package import ModelPackage
from models.reference import Reference
from training import calibrating
from training.against_champion import (
    KEY,
    AgainstChampion,
    hold_against_champion,
    record_against_champion,
    tell_without_champion,
)
from training.evaluation import headline
from training.locked_set import LockedSet, locked_set_of, write_locked_set
from training.loop import Watch
from training.packaging import Contents, require_complete, write_package
from training.pipeline import Places, made_at
from training.provenance import config_digest, plain, source_code
from training.reference_fit import fit_reference
from training.registry import LOCKED_SET, PACKAGE
from training.replacing import is_used, require_free
from training.tables import measuring
from training.tables.additive import AdditiveModel, fit
from training.tables.card import render_table_card
from training.tables.config import TableConfig
from training.tables.graph import check_parity, run_graph, write_graph
from training.tables.people import People, read_people
from training.tracking import Tracker


def run_table(config: TableConfig, places: Places, watch: Watch) -> ModelPackage:
    """Train, measure and package; return the verified package.

    Raises:
        DataError: data and configuration do not fit each other, or the version is released already.
        ExportRefusedError: the exported graph does not answer as the model does.
    """
    watch.stage("reading and dividing the table")
    people = read_people(config, places.data)
    require_complete(config.name, config.version, config.package, people.spec)
    root, made_of = places.packages / config.name / config.version, _tags(config, people)
    require_free(root, places.home, made_of, watch)
    tell_without_champion(made_at(config.name, config.version, places), watch)
    digest = config_digest(config).removeprefix("sha256:")[:12]
    folder = places.home / "training" / f"{config.name}-{config.version}-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    tracker = Tracker(places.home, folder / "mlflow-run", f"{config.name} {config.version}")
    tracker.describe(plain(config), made_of)
    try:
        package = _make(config, people, places, folder, watch, tracker)
    except BaseException:
        tracker.finish(succeeded=False)
        raise
    tracker.finish(succeeded=True)
    return package


def _make(
    config: TableConfig,
    people: People,
    places: Places,
    folder: Path,
    watch: Watch,
    tracker: Tracker,
) -> ModelPackage:
    watch.stage("fitting")
    model = fitted(config, people)
    watch.stage("exporting, with the parity gate")
    training, validation = (people.split.indices(p) for p in (Part.TRAINING, Part.VALIDATION))
    onnx, own = folder / "model.onnx", people.values[training]
    write_graph(model, np.nanmean(own, axis=0), np.nanstd(own, axis=0), onnx)
    parity = check_parity(model, onnx, people.values, config.export)
    outputs = run_graph(onnx, people.values)
    watch.stage("calibrating")
    calibration = _calibrated(config, people, outputs["logits"])
    embedding = outputs["embedding"]
    reference = fit_reference(embedding[training], embedding[validation], config.reference)
    watch.stage("evaluating on the test part")
    probability = calibration.probabilities(outputs["logits"])
    parts = {
        part: measuring.evaluated(people, part, probability, calibration)
        for part in (Part.VALIDATION, Part.TEST)
    }
    evaluation = measuring.measure(config, people, model, parts, reference, embedding, onnx, parity)
    figures = measuring.draw(people, model, parts[Part.TEST], evaluation, folder / "figures")
    kept = locked_set_of(parts[Part.TEST], people.split.digest_for(people.manifest))
    held = hold_against_champion(made_at(config.name, config.version, places), kept, folder)
    evaluation[KEY], shown = dict(held.facts), (*figures, *held.figures)
    watch.stage("packaging")
    contents = _contents(config, people, calibration, reference, evaluation, onnx, shown)
    used = is_used(config.name, config.version, places.home)
    root = places.packages / config.name / config.version
    package = write_package(contents, root, used=used)
    _record(config, kept, held, evaluation, package, folder, tracker, watch)
    return package


def fitted(config: TableConfig, people: People) -> AdditiveModel:
    """Return the model that is fitted to the training part."""
    training = people.split.indices(Part.TRAINING)
    return fit(
        people.spec,
        people.values[training],
        people.truth[training],
        people.weights[training],
        people.manifest.groups()[training],
        config.model,
    )


def _contents(
    config: TableConfig,
    people: People,
    calibration: Calibration,
    reference: Reference,
    evaluation: dict[str, Any],
    onnx: Path,
    figures: tuple[Path, ...],
) -> Contents:
    return Contents(
        name=config.name,
        version=config.version,
        config=config.package,
        input_spec=people.spec,
        calibration=calibration,
        calibration_facts={"part": Part.VALIDATION.value, **plain(config.calibration)},
        reference=reference,
        evaluation=evaluation,
        onnx=onnx,
        onnx_int8=None,
        card=render_table_card(config, evaluation, [figure.name for figure in figures]),
        figures=figures,
    )


def _calibrated(config: TableConfig, people: People, logits: NDArray[np.float32]) -> Calibration:
    known = people.known(Part.VALIDATION)
    label = calibrating.fit(
        logits[known, 0].astype(np.float64),
        people.truth[known],
        people.weights[known],
        config.calibration,
    )
    return Calibration((label,))


def _record(
    config: TableConfig,
    kept: LockedSet,
    held: AgainstChampion,
    evaluation: dict[str, Any],
    package: ModelPackage,
    folder: Path,
    tracker: Tracker,
    watch: Watch,
) -> None:
    write_locked_set(kept, folder / LOCKED_SET)
    tracker.figures(headline(evaluation))
    tracker.files(package.root, PACKAGE)
    tracker.files(folder / LOCKED_SET, LOCKED_SET)
    tracker.files(folder / "figures", "figures")
    tracker.register(config.name, package.reference_to.digest, config.version)
    record_against_champion(held, folder, tracker, watch)


def _tags(config: TableConfig, people: People) -> dict[str, Any]:
    return {
        "config_digest": config_digest(config),
        "manifest_digest": people.manifest.digest,
        "split_digest": people.split.digest_for(people.manifest),
        "code": source_code(),
    }
