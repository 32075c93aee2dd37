"""`docs/models.md`: every released model and its figures, out of the evaluation files alone.

`python -m training.models_page` writes it; a test holds that it is what the packages say.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.package import EVALUATION, METADATA
from models.store import RELEASED
from training.config import available, load_any_config
from training.provenance import config_digest

PAGE = Path(__file__).resolve().parent.parent / "docs" / "models.md"
_OPENING = """# Models

Made by `python -m training.models_page` from the evaluation file of each released package; do not
edit. Figures are of the test part of each model's own data, which nothing was fitted, chosen or
stopped on, with 95 % intervals from resampled patients (groups of tiles, people). The card of each
package, under `models/released/<name>/<version>/docs/`, says more: subgroups, robustness, what is
refused, how it was made.

**Decision support for professionals. None of them is a cleared medical device.**
"""
_TRACED = """## What the figures stand on

`evaluation.json` of a package says all of this in full, with the versions of the libraries. The
configuration is the one here that has the digest which the package names; `zhuzhen data manifest
<data set>` computes the manifest's digest from the data, which `docs/data.md` tells how to obtain;
`git show <code>` is the code. `make train MODEL=<configuration>` makes the package anew.
"""
_SHOWN = 12
"""Digits of a digest."""
_KINDS = {
    "radiograph": "radiograph, `POST /v1/recognize`",
    "tile": "tile of a stained slide, `POST /v1/classify-pathology`",
    "table": "person, `POST /v1/score-risk`",
}


def page() -> str:
    """Return the page in Markdown."""
    found = sorted(RELEASED.glob(f"*/*/{EVALUATION}"))
    rows = [line for path in found for line in _rows(path.parent)]
    return "\n".join(
        [
            _OPENING,
            "| model | takes | finding | samples (with it) | AUC | accuracy | sensitivity | "
            "specificity | balanced accuracy | calibration error | abstains |",
            "|" + "---|" * 11,
            *rows,
            "",
            _TRACED,
            "| model | configuration | data set | manifest | split | code |",
            "|" + "---|" * 6,
            *(_traced(path.parent) for path in found),
            "",
        ]
    )


def configuration_of(provenance: Mapping[str, Any]) -> str | None:
    """Return which configuration here has the digest that a package was made by; None if none."""
    digests = {config_digest(load_any_config(name)): name for name in available()}
    return digests.get(provenance["configuration_digest"])


def _traced(root: Path) -> str:
    evaluation = json.loads((root / EVALUATION).read_text(encoding="utf-8"))
    provenance = evaluation["provenance"]
    data, name = provenance["data"], configuration_of(provenance)
    made_by = f"[{name}](../training/configs/{name}.yaml)" if name else "that of the commit"
    cells = [
        f"{evaluation['model']} {evaluation['version']}",
        f"{made_by} `{_short(provenance['configuration_digest'])}`",
        f"[{data['source']}](../datasets/descriptions/{data['source']}.yaml)",
        f"`{_short(data['manifest_digest'])}`",
        f"`{_short(data['split_digest'])}`",
        f"`{provenance['code']['commit'][:_SHOWN]}`",
    ]
    return f"| {' | '.join(cells)} |"


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:_SHOWN]


def _rows(root: Path) -> list[str]:
    metadata = json.loads((root / METADATA).read_text(encoding="utf-8"))
    test = json.loads((root / EVALUATION).read_text(encoding="utf-8"))["test"]
    name = f"[{metadata['name']} {metadata['version']}](../models/released/"
    name += f"{metadata['name']}/{metadata['version']}/docs/README.md)"
    kind = _KINDS[metadata["zhuzhen"]["input"]["kind"]]
    (first, *_) = (each["label"] for each in metadata["zhuzhen"]["labels"])
    if "labels" not in test:
        return [_row(name, kind, first, test["images"], test)]
    whole = f"| {name} | {kind} | likeliest of all | {test['images']} | {_told(test, 'auc')} | "
    whole += f"{_told(test, 'accuracy')} | | | {_told(test, 'balanced_accuracy')} | "
    whole += f"{_told(test, 'calibration_error')} | |"
    labels = test["labels"].items()
    return [whole, *(_row("", "", label, test["images"], each) for label, each in labels)]


def _row(name: str, kind: str, label: str, images: int, measured: dict[str, Any]) -> str:
    figures = [
        _told(measured, figure)
        for figure in (
            "auc",
            "accuracy",
            "sensitivity",
            "specificity",
            "balanced_accuracy",
            "calibration_error",
        )
    ]
    abstains = f"{measured['decisions']['indeterminate_share']:.1%}"
    cells = [name, kind, label, f"{images} ({measured['positives']})", *figures, abstains]
    return f"| {' | '.join(cells)} |"


def _told(measured: dict[str, Any], name: str) -> str:
    entry = measured["figures"].get(name)
    return f"{entry['value']:.3f} ({entry['low']:.3f}-{entry['high']:.3f})" if entry else ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
