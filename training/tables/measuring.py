"""What `evaluation.json` says of a model of people, and its pictures."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from datasets.splits import Part
from models.calibration import Calibration
from models.reference import Reference
from training import metrics, operating_point, plots
from training.evaluation import Evaluated, measure_part
from training.export import OPSET
from training.metrics import Scored
from training.provenance import config_digest, libraries, plain, source_code
from training.reference_fit import refusals
from training.tables import robustness
from training.tables.additive import AdditiveModel, fit
from training.tables.config import TableConfig
from training.tables.graph import TableParity, parity_facts
from training.tables.people import People
from training.tables.robustness import Asked
from training.tables.robustness_section import PICTURE, draw_robustness

_FOLDS = 5


def evaluated(
    people: People, part: Part, probability: NDArray[np.float64], calibration: Calibration
) -> Evaluated:
    """Return those of one part whose outcome is known with what the model says of them.

    `probability` is of shape (people, 1) for all.
    """
    known = people.known(part)
    return Evaluated(
        manifest=people.outcome.subset(known),
        probability=probability[known],
        calibration=calibration,
        weights=people.weights[known],
    )


def measure(
    config: TableConfig,
    people: People,
    model: AdditiveModel,
    parts: dict[Part, Evaluated],
    reference: Reference,
    embedding: NDArray[np.float32],
    onnx: Path,
    parity: TableParity,
) -> dict[str, Any]:
    """Return the content of `evaluation.json`."""
    test = people.known(Part.TEST)
    asked = Asked(
        parts[Part.TEST],
        people.values[test],
        np.nanstd(people.values[people.split.indices(Part.TRAINING)], axis=0),
        people.spec.inputs,
        onnx,
        reference,
    )
    measured = {
        "model": config.name,
        "version": config.version,
        "provenance": _provenance(config, people),
        "training": {"penalty": model.penalty, "columns": len(model.weights)},
        "inputs": _inputs(people, model),
        "validation": measure_part(parts[Part.VALIDATION], config.evaluation, config.seed),
        "test": measure_part(parts[Part.TEST], config.evaluation, config.seed),
        robustness.KEY: robustness.measure_robustness(config, asked),
        "out_of_distribution": refusals(
            reference, {"test part": embedding[test]} | strange(embedding[test], config.seed)
        ),
        "export": {"opset": OPSET, "largest_differences": parity_facts(parity)}
        | {"tolerances": plain(config.export)},
        operating_point.KEY: operating_point.operating_point_facts(
            config.calibration, "the validation part"
        ),
    }
    if config.leave_site_out:
        measured["sites"] = measure_sites(config, people)
    return measured


def strange(embedding: NDArray[np.float32], seed: int) -> dict[str, NDArray[np.float32]]:
    """Return people as they are not: each value from another one, or all of them far out."""
    rng = np.random.default_rng(seed)
    shuffled = np.stack([rng.permutation(column) for column in embedding.T], axis=1)
    return {
        "inputs of different people mixed": shuffled,
        "every input twice as far from its mean": embedding * 2,
        "every input four times as far from its mean": embedding * 4,
    }


def measure_sites(config: TableConfig, people: People) -> dict[str, Any]:
    """Return for each site how it is predicted by the others, and by models that know it."""
    sites, groups = people.manifest.sites(), people.manifest.groups()
    within = np.zeros(len(sites))
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=config.seed)
    for train, held in folds.split(people.values, people.truth, groups):
        within[held] = _fitted(config, people, train).log_odds(people.values[held])
    result = {}
    for site in sorted(set(sites.tolist())):
        held = np.flatnonzero(sites == site)
        unseen = _fitted(config, people, np.flatnonzero(sites != site)).log_odds(
            people.values[held]
        )
        truth = people.truth[held]
        result[site] = {
            "images": len(held),
            "positives": int(truth.sum()),
            "share": float(truth.mean()),
            "unseen_mean_probability": float((1 / (1 + np.exp(-unseen))).mean()),
            "within": _figures(config, truth, within[held], groups[held]),
            "unseen": _figures(config, truth, unseen, groups[held]),
        }
    return result


def _fitted(config: TableConfig, people: People, chosen: NDArray[np.intp]) -> AdditiveModel:
    return fit(
        people.spec,
        people.values[chosen],
        people.truth[chosen],
        people.weights[chosen],
        people.manifest.groups()[chosen],
        config.model,
    )


def _figures(
    config: TableConfig,
    truth: NDArray[np.bool_],
    log_odds: NDArray[np.float64],
    groups: NDArray[np.str_],
) -> dict[str, dict[str, float]]:
    scored = Scored(truth, 1 / (1 + np.exp(-log_odds)), groups, np.ones(len(truth)))
    return metrics.bootstrap(
        scored,
        lambda drawn: metrics.score_all(drawn, 0.5),
        config.evaluation.bootstrap_repeats,
        config.seed,
    )


def _inputs(people: People, model: AdditiveModel) -> list[dict[str, Any]]:
    moved = np.abs(model.contributions(people.values[people.known(Part.TRAINING)])).mean(axis=0)
    return [
        {
            "name": each.name,
            "label": {"en": each.label.en, "zh": each.label.zh},
            "unit": each.unit,
            "categories": list(each.categories),
            "optional": each.optional,
            "mean_contribution": float(moved[at]),
        }
        for at, each in enumerate(people.spec.inputs)
    ]


def _provenance(config: TableConfig, people: People) -> dict[str, Any]:
    split, manifest = people.split, people.manifest
    return {
        "configuration_digest": config_digest(config),
        "seed": config.seed,
        "code": source_code(),
        "libraries": libraries(),
        "data": {
            "source": manifest.source,
            "manifest_digest": manifest.digest,
            "split_digest": split.digest_for(manifest),
            "images": {part.value: len(split.indices(part)) for part in Part},
            "unknown_outcome": int((people.weights == 0).sum()),
        },
    }


def draw(
    people: People,
    model: AdditiveModel,
    test: Evaluated,
    evaluation: Mapping[str, Any],
    folder: Path,
) -> tuple[Path, ...]:
    """Draw every picture of the `evaluation` into `folder`."""
    parts = {"test": test.scored()}
    point = test.calibration.labels[0].operating_point
    return (
        plots.roc_plot(parts, point, folder / "roc.png"),
        plots.reliability_plot(parts, folder / "reliability.png"),
        plots.decision_plot(parts, folder / "decision-curve.png"),
        _curves(people, model, folder / "curves.png"),
        draw_robustness(evaluation[robustness.KEY], folder / PICTURE),
    )


def _curves(people: People, model: AdditiveModel, path: Path) -> Path:
    """Draw what each input adds to the log-odds over its range.

    On one scale for all, so that the height of a curve says how much an input weighs.
    """
    count, columns = len(people.spec.inputs), 4
    rows = -(-count // columns)
    figure = Figure(figsize=(2.6 * columns, 2.1 * rows), dpi=100, layout="constrained")
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for at, (axes, each) in enumerate(zip(grid, people.spec.inputs, strict=False)):
        values = np.full((101, count), np.nan)
        places = len(each.categories)
        values[:, at] = (
            np.arange(101) % places
            if places
            else np.linspace(model.basis.low[at], model.basis.high[at], 101)
        )
        added = model.contributions(values)[:, at]
        if places:
            names = [fill(name.replace("_", " "), 12) for name in each.categories]
            axes.bar(names, added[:places])
        else:
            axes.plot(values[:, at], added)
            axes.set_xlabel(each.unit, fontsize=6)
        axes.axhline(0, color="0.7", linewidth=0.8)
        axes.set_title(each.label.en, fontsize=7)
        axes.tick_params(labelsize=6)
    for axes in grid[count:]:
        axes.set_visible(False)
    figure.supylabel("added to the log-odds", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
    return path
