"""A made-up table of people with its description and configuration, as an engineer would write."""

from pathlib import Path

import numpy as np
import yaml

from tests.toy_packages import toy_package, toy_sheet

_DESCRIPTION = {
    "name": "toy_people",
    "version": "1.0.0",
    "source": {"kind": "table", "folder": "toy_people", "index": "people.csv"},
    "fields": {"id": "number", "group": "number", "site": "clinic", "sex": "sex"},
    "labels": ["toy_disease"],
    "present": {"column": "ill", "values": {"yes": ["toy_disease"], "no": []}},
    "features": [
        {"name": "age_years", "unit": "a", "minimum": 0, "maximum": 120},
        {"name": "sex", "values": {"F": "F", "M": "M"}},
        {
            "name": "sbp_mmhg",
            "column": "pressure",
            "unit": "mm[Hg]",
            "minimum": 40,
            "maximum": 300,
            "optional": True,
        },
    ],
    "sheet": toy_sheet("Made-up people", "虚构人群"),
}
_CONFIGURATION = {
    "name": "toy-risk",
    "version": "0.1.0",
    "kind": "table",
    "seed": 1,
    "split": {"training": 0.5, "validation": 0.25, "test": 0.25},
    "leave_site_out": True,
    "inputs": [
        {"name": "age_years", "en": "age", "zh": "年龄"},
        {"name": "sex", "en": "sex", "zh": "性别"},
        {
            "name": "sbp_mmhg",
            "en": "pressure",
            "zh": "血压",
            "aliases": {"sbp_kpa": 7.50062},
            "variation": {"sd": 8, "source": "a made-up paper"},
        },
    ],
    "model": {"knots": 2, "penalties": [0.1], "folds": 2},
    "calibration": {"conformal_coverage": 0.9},
    "reference": {"components": 2},
    "evaluation": {"bootstrap_repeats": 20},
    "package": toy_package(
        "toy_disease",
        en="Toy disease",
        zh="虚构疾病",
        code={"value": "1", "display": "Toy"},
        rule={"fact": "age_years", "minimum": 18, "below": 90},
    ),
}


def write_toy_people(folder: Path, people: int = 400) -> Path:
    """Write table, description and configuration under `folder`; return the configuration."""
    rng = np.random.default_rng(0)
    age, pressure = rng.integers(20, 85, people), rng.normal(135, 20, people).round()
    sex = rng.choice(["F", "M"], people)
    odds = 0.1 * (age - 52) + 0.03 * (pressure - 135) + np.where(sex == "M", 0.8, 0.0)
    ill = rng.random(people) < 1 / (1 + np.exp(-odds))
    rows = ["number,clinic,age_years,sex,pressure,ill"]
    for at in range(people):
        stated = "" if at % 17 == 0 else f"{pressure[at]:g}"
        clinic, yes = "north" if at % 3 else "south", "yes" if ill[at] else "no"
        rows.append(f"p{at},{clinic},{age[at]},{sex[at]},{stated},{yes}")
    (folder / "toy_people").mkdir(parents=True)
    (folder / "toy_people" / "people.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    description = folder / "toy_people.yaml"
    description.write_text(yaml.safe_dump(_DESCRIPTION, allow_unicode=True), encoding="utf-8")
    configuration = folder / "toy-risk.yaml"
    whole = {**_CONFIGURATION, "data": {"source": description.name}}
    configuration.write_text(yaml.safe_dump(whole, allow_unicode=True), encoding="utf-8")
    return configuration
