"""A package of images once more, with a card that says more: its networks stay.

`python -m training.reissuing NAME@VERSION` makes the version that the configuration of that name
states. Graphs, calibration and reference are taken over to the byte, and the figures with them; the
test part is asked anew, to hold the version against the champion and to see that the figures are
still what the graph gives. Networks that would have to be trained anew are refused.

A model of people is trained anew instead, which takes seconds.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from datasets.command import data_folder
from models.errors import DataError, PackageInvalidError, ZhuzhenError
from models.package import (
    CALIBRATION,
    CARD,
    EVALUATION,
    METADATA,
    ONNX,
    ONNX_INT8,
    REFERENCE,
    ModelPackage,
    digest_of,
)
from models.store import home, load
from training import metrics, operating_point
from training.against_champion import KEY, PICTURE, AgainstChampion, hold_against_champion
from training.card import render_card
from training.command import ProgressWatch
from training.config import TrainConfig, load_any_config
from training.evaluation import Evaluated
from training.locked_set import locked_set_of
from training.loop import Watch
from training.packaging import Contents, PackageConfig, write_package
from training.pipeline import Places, made_at, record_package
from training.provenance import config_digest, plain, source_code
from training.registering import measured, tags_of
from training.replacing import is_used, require_free
from training.report import kept_together_of, operating_point_of
from training.tracking import Tracker

_TOLERANCE = 2e-3
"""How far a figure that is measured anew may be from the stated one: processors round otherwise."""
_TAKEN_OVER = (ONNX, ONNX_INT8, CALIBRATION, REFERENCE)


@dataclass(frozen=True, slots=True)
class _Source:
    """The package that is taken over, and what it says of itself."""

    package: ModelPackage
    evaluation: Mapping[str, Any]
    metadata: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.package.reference_to.name} {self.package.reference_to.version}"


def reissue(
    package: ModelPackage, config: TrainConfig, places: Places, watch: Watch
) -> ModelPackage:
    """Make the version that `config` states out of `package`, and register it.

    Raises:
        DataError: the configuration makes other networks or has no new version, the data are
            others, or the graph no longer gives the figures of the package.
    """
    source = _Source(package, _read(package, EVALUATION), _read(package, METADATA))
    _require_same_networks(source, config)
    evaluation = _evaluation(source, config)
    root = places.packages / config.name / config.version
    require_free(root, places.home, tags_of(evaluation), watch)
    test, split_digest = measured(package, source.evaluation, config, places, watch)
    _require_same_figures(source, test)
    folder = places.home / "training" / f"{config.name}-{config.version}-reissued"
    folder.mkdir(parents=True, exist_ok=True)
    kept = locked_set_of(test, split_digest)
    watch.stage("holding it against the champion")
    held = hold_against_champion(made_at(config.name, config.version, places), kept, folder)
    held = _or_as_before(source, held)
    evaluation[KEY] = dict(held.facts)
    watch.stage("packaging")
    contents = _contents(source, config, evaluation, held, folder)
    used = is_used(config.name, config.version, places.home)
    made = write_package(contents, root, used=used)
    _require_same_bytes(package, made)
    tracker = Tracker(places.home, folder / "mlflow-run", f"{config.name} {config.version}")
    tracker.describe(plain(config), tags_of(evaluation))
    record_package(config, evaluation, made, kept, held, folder, tracker, watch)
    tracker.finish(succeeded=True)
    return made


def _require_same_networks(source: _Source, config: TrainConfig) -> None:
    """Require that nothing but the version and what the package says of itself is another."""
    before = source.package.reference_to
    if config.name != before.name or config.version == before.version:
        raise DataError(
            f"The configuration makes {config.name} {config.version}; expected a new version of "
            f"{before.name} {before.version}. Raise `version` and say under `package.changelog` "
            "what is new."
        )
    said = _as_it_said(source.metadata, config.package)
    stated = source.evaluation["provenance"]["configuration_digest"]
    # The card alone has the limits, or those that every card had before configurations named them.
    for limits in (config.package.limits, _limits_of(source.package.root / CARD)):
        package = replace(said, limits=limits)
        if config_digest(replace(config, version=before.version, package=package)) == stated:
            return
    raise DataError(
        f"The configuration makes other networks than those of {source.name}, which is of the "
        f"configuration {stated}: more than the version and what the package says of itself is "
        "another. Train it with `zhuzhen train`."
    )


def _as_it_said(metadata: Mapping[str, Any], package: PackageConfig) -> PackageConfig:
    """Return `package` with all that `metadata` says in its place."""
    said = {
        each.name: metadata["license" if each.name == "licence" else each.name]
        for each in fields(package)
        if each.name in metadata or each.name == "licence"
    }
    use = metadata["zhuzhen"]["intended_use"]
    labels = tuple(each["label"] for each in metadata["zhuzhen"]["labels"])
    return replace(package, **said, statement=use["statement"], rules=use["rules"], labels=labels)


def _limits_of(card: Path) -> tuple[str, ...]:
    section = card.read_text(encoding="utf-8").partition("## Limits\n")[2].partition("\n## ")[0]
    return tuple(line[2:] for line in section.splitlines() if line.startswith("- "))


def _require_same_figures(source: _Source, test: Evaluated) -> None:
    stated = source.evaluation["test"]
    for at, label in enumerate(test.manifest.labels):
        point = test.calibration.labels[at].operating_point
        figures = stated.get("labels", {label: stated})[label]["figures"]
        for name, value in metrics.score_all(test.scored(at), point).items():
            if name in figures and not abs(value - figures[name]["value"]) <= _TOLERANCE:
                raise DataError(
                    f"{source.name} states {name} {figures[name]['value']:.4f} of {label}; its "
                    f"graph gives {value:.4f} here. Data or libraries are others than those that "
                    "it was measured with."
                )


def _evaluation(source: _Source, config: TrainConfig) -> dict[str, Any]:
    """Return the evaluation of `source` as that of the new version, without the champion."""
    provenance = source.evaluation["provenance"]
    reference = source.package.reference_to
    taken_over = {
        "version": reference.version,
        "digest": reference.digest,
        "configuration_digest": provenance["configuration_digest"],
        "code": source_code(),
    }
    exclusive = source.package.calibration.exclusive
    return {
        **source.evaluation,
        "version": config.version,
        "provenance": {
            **provenance,
            "configuration_digest": config_digest(config),
            "data": {**provenance["data"], **kept_together_of(config)},
            "taken_over": taken_over,
        },
        operating_point.KEY: operating_point_of(config, exclusive=exclusive),
    }


def _or_as_before(source: _Source, held: AgainstChampion) -> AgainstChampion:
    """Return what came of `held`; where the champion is `source` itself, what it came to then."""
    champion = held.facts["champion"]
    if champion is None or champion["digest"] != source.package.reference_to.digest:
        return held
    before = source.evaluation.get(KEY, {})
    if before.get("champion") is None:
        told = "Its networks are the same, to the byte, and so are its answers."
        return AgainstChampion({"champion": champion, "not_compared": told}, told)
    picture = source.package.root / "docs" / PICTURE
    facts = {"held_as": source.package.reference_to.version, **before}
    return AgainstChampion(facts, held.told, (picture,) if picture.is_file() else ())


def _contents(
    source: _Source,
    config: TrainConfig,
    evaluation: Mapping[str, Any],
    held: AgainstChampion,
    folder: Path,
) -> Contents:
    package = source.package
    shown = folder / "figures"
    shown.mkdir(exist_ok=True)
    card = (package.root / CARD).read_text(encoding="utf-8")
    old = [path for path in (package.root / "docs").glob("*.png") if path.name != PICTURE]
    figures = [
        Path(shutil.copy(path, shown))
        for path in sorted(old, key=lambda path: card.find(f"({path.name})"))
    ]
    maps = source.metadata["network_data_format"]["outputs"]["activation_map"]["spatial_shape"]
    pictures = (*figures, *held.figures)
    return Contents(
        name=config.name,
        version=config.version,
        config=config.package,
        input_spec=package.input_spec,
        calibration=package.calibration,
        calibration_facts=_read(package, CALIBRATION)["fitted"],
        reference=package.reference,
        evaluation=evaluation,
        onnx=package.onnx_path,
        onnx_int8=package.onnx_int8_path,
        card=render_card(config, evaluation, [each.name for each in pictures]),
        map_cells=maps[0],
        figures=pictures,
    )


def _require_same_bytes(package: ModelPackage, made: ModelPackage) -> None:
    for name in _TAKEN_OVER:
        files = [root / name for root in (package.root, made.root)]
        there = [path.is_file() for path in files]
        if there[0] != there[1] or (all(there) and len({digest_of(path) for path in files}) > 1):
            raise PackageInvalidError(
                f"{name} of {made.reference_to.name} {made.reference_to.version} is not that of "
                f"{package.reference_to.version}: code or libraries write it otherwise by now."
            )


def _read(package: ModelPackage, name: str) -> Any:
    return json.loads((package.root / name).read_text(encoding="utf-8"))


def main(
    model: Annotated[str, typer.Argument(help="NAME@VERSION of the package.")],
    configuration: Annotated[
        str | None, typer.Option(help="With the new version; by default that of its name.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of all data sets; by default ZHUZHEN_DATA.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Gets <name>/<version>/; by default ZHUZHEN_HOME/models.")
    ] = None,
) -> None:
    """Make a version of MODEL with the same networks and a card as it is written now."""
    try:
        package = load(model)
        config = load_any_config(configuration or package.reference_to.name)
        if not isinstance(config, TrainConfig):
            raise DataError("A model of people is trained anew by `zhuzhen train`, in seconds.")
        places = Places(data_folder(data), home(), out or home() / "models")
        with ProgressWatch() as watch:
            made = reissue(package, config, places, watch).reference_to
    except ZhuzhenError as error:
        Console(stderr=True).print(f"[red]{error}[/red]", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    typer.echo(f"{made.name} {made.version} {made.digest}")


if __name__ == "__main__":
    typer.run(main)
