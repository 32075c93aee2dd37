"""`docs/models.md`: every released model and its figures, out of the evaluation files alone.

`python -m training.models_page` writes it; a test holds that it is what the packages say.
"""

import json
from pathlib import Path
from typing import Any

from models.package import EVALUATION, METADATA
from models.store import RELEASED

PAGE = Path(__file__).resolve().parent.parent / "docs" / "models.md"
_OPENING = """# Models

Made by `python -m training.models_page` from the evaluation file of each released package; do not
edit. Figures are of the test part of each model's own data, which nothing was fitted, chosen or
stopped on, with 95 % intervals from resampled patients (groups of tiles, people). The card of each
package, under `models/released/<name>/<version>/docs/`, says more: subgroups, robustness, what is
refused, how it was made.

**Decision support for professionals. None of them is a cleared medical device.**
"""
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
            "Each is made by one command, `make train MODEL=<name>`, from the configuration in "
            "`training/configs/` and the data set that `docs/data.md` tells how to obtain.",
            "",
        ]
    )


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
