"""Bring a package that was made elsewhere into the registry, with a locked set of its own.

A version that was trained here is registered by its training. One that came with the project, or
from another machine, is not, and a challenger could not be held against it: what it says of each
sample of the test part is measured here, by its own graph on the data and the split that its
evaluation names.
"""

import json
from collections.abc import Mapping
from typing import Any

from datasets.splits import Part
from models.errors import DataError
from models.package import EVALUATION, ModelPackage
from training.config import TrainConfig
from training.evaluation import Evaluated, headline
from training.graph_run import GraphRunner
from training.locked_set import locked_set_of, write_locked_set
from training.loop import Watch
from training.pipeline import Places
from training.registry import LOCKED_SET, PACKAGE, Registered, Registry
from training.study_data import read_divided
from training.tables import measuring
from training.tables.config import TableConfig
from training.tables.graph import run_graph
from training.tables.people import read_people
from training.tracking import Tracker


def register_package(
    package: ModelPackage, config: TrainConfig | TableConfig, places: Places, watch: Watch
) -> Registered:
    """Register `package` as the newest version of its model: the challenger.

    A package that is registered already stays what it is.

    Args:
        package: a verified package.
        config: the configuration whose data and split it was evaluated on.
        places: where the data lie, and the registry.
        watch: told of what takes minutes.

    Raises:
        DataError: data and split are not those that the package was evaluated on.
    """
    name, version, digest = (
        package.reference_to.name,
        package.reference_to.version,
        package.reference_to.digest,
    )
    registry = Registry(places.home)
    for known in registry.versions(name):
        if known.digest == digest:
            return known
    evaluation = json.loads((package.root / EVALUATION).read_text(encoding="utf-8"))
    test, split_digest = measured(package, evaluation, config, places, watch)
    folder = places.home / "training" / f"{name}-{version}-registered"
    kept = folder / LOCKED_SET
    write_locked_set(locked_set_of(test, split_digest), kept)
    tracker = Tracker(places.home, folder / "mlflow-run", f"{name} {version} (registered)")
    tracker.describe({}, {**tags_of(evaluation), "package_digest": digest})
    tracker.figures(headline(evaluation))
    tracker.files(package.root, PACKAGE)
    tracker.files(kept, LOCKED_SET)
    number = tracker.register(name, digest, version)
    tracker.finish(succeeded=True)
    return Registered(name, number, version, digest, tracker.run_id)


def tags_of(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the package says that it was made from, as a training records it of its own."""
    provenance = evaluation["provenance"]
    return {
        "config_digest": provenance["configuration_digest"],
        "manifest_digest": provenance["data"]["manifest_digest"],
        "split_digest": provenance["data"]["split_digest"],
        "code": provenance["code"],
    }


def measured(
    package: ModelPackage,
    evaluation: Mapping[str, Any],
    config: TrainConfig | TableConfig,
    places: Places,
    watch: Watch,
) -> tuple[Evaluated, str]:
    """Return what `package` says of the test part, and the digest of the split."""
    watch.stage("reading and dividing the data")
    if isinstance(config, TableConfig):
        people = read_people(config, places.data)
        split_digest = people.split.digest_for(people.manifest)
        _require_same_split(package, evaluation, split_digest)
        logits = run_graph(package.onnx_path, people.values)["logits"]
        said = package.calibration.probabilities(logits)
        return measuring.evaluated(people, Part.TEST, said, package.calibration), split_digest
    # Where lungs are, and what the acquisition tells, take minutes and only a training needs.
    study = read_divided(config, places.data, places.images)
    split_digest = study.split.digest_for(study.manifest)
    _require_same_split(package, evaluation, split_digest)
    chosen = study.split.indices(Part.TEST)
    watch.stage(f"asking the package about the {len(chosen)} images of the test part")
    runner = GraphRunner(package.onnx_path, package.input_spec, config.optimisation.threads)
    logits = runner.on_images(study.pixels[chosen]).logits
    part = Evaluated(
        manifest=study.manifest.subset(chosen),
        probability=package.calibration.probabilities(logits),
        calibration=package.calibration,
    )
    return part, split_digest


def _require_same_split(package: ModelPackage, evaluation: Mapping[str, Any], found: str) -> None:
    stated = evaluation.get("provenance", {}).get("data", {}).get("split_digest")
    if stated != found:
        raise DataError(
            f"{package.reference_to.name} {package.reference_to.version} was evaluated on the "
            f"split {stated}; data and configuration give {found}. Its locked set would hold "
            "samples that it was trained on. Name the configuration that it was made with by "
            "--configuration, and the folder of the same data by --data."
        )
