"""The description of a data set: one YAML file that says where it lies and what its columns mean.

A new data set is a new description, not code. `description.schema.json` is the contract; the
descriptions of the public data sets lie in `descriptions/`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from datasets.manifest import Feature
from models.errors import DataError

FOLDER = Path(__file__).parent / "descriptions"


@dataclass(frozen=True, slots=True)
class FeatureColumn:
    """Where a feature of a table comes from."""

    feature: Feature
    column: str
    values: Mapping[str, str]
    """From the source's categories to ours; empty where they are the same, and for numbers."""
    missing: tuple[float, ...]
    """Numbers by which the source says that it does not know."""
    scale: float
    """What a number is multiplied by to be in the feature's unit."""


@dataclass(frozen=True, slots=True)
class Description:
    """What `description.schema.json` allows, checked."""

    name: str
    version: str
    source: Mapping[str, Any]
    """`kind` and what that kind of source needs; see `datasets.sources`."""
    fields: Mapping[str, Any]
    """Where id, path, group, subtype, site, age and sex come from: a column's name, or `column`
    with `values`, or `constant`."""
    labels: tuple[str, ...]
    exclusive: bool
    present: Mapping[str, Any]
    subtypes: Mapping[str, tuple[str, ...]]
    """Which subtypes a value of the label's column may have; empty where any may."""
    facts: Mapping[str, str]
    """From the names of acquisition facts to the columns they come from."""
    features: tuple[FeatureColumn, ...]
    sheet: Mapping[str, Any]
    """Origin, licence, citation, population, traps: what the data sheet says in words."""


def available() -> list[str]:
    """Return the names of the data sets that are described in the project."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_description(name: str) -> Description:
    """Return the description `name` of the project, or of the YAML file at that path.

    Raises:
        DataError: it is absent or does not fit the schema; the message says where.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise DataError(
            f"There is no data set {name!r}; known are {', '.join(available())}. A YAML file that "
            "describes one can be named too; docs/data.md says how to write it."
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} is not valid YAML: {error}") from error
    if isinstance(content, dict) and "package" in content:
        raise DataError(
            f"{path.name} configures a model, not a data set. Name the file that its `data: "
            "{source: ...}` names."
        )
    schema = json.loads(
        resources.files("datasets").joinpath("description.schema.json").read_text("utf-8")
    )
    try:
        jsonschema.validate(content, schema)
    except jsonschema.ValidationError as invalid:
        where = "/".join(str(step) for step in invalid.absolute_path) or "the top level"
        raise DataError(f"{path.name}: at {where}: {invalid.message}") from invalid
    return _description(content)


def _description(content: dict[str, Any]) -> Description:
    return Description(
        name=content["name"],
        version=content["version"],
        source=content["source"],
        fields=content["fields"],
        labels=tuple(content["labels"]),
        exclusive=content.get("exclusive", False),
        present=content["present"],
        subtypes={key: tuple(each) for key, each in content.get("subtypes", {}).items()},
        facts=content.get("facts", {}),
        features=tuple(_feature(each) for each in content.get("features", ())),
        sheet=content["sheet"],
    )


def _feature(entry: dict[str, Any]) -> FeatureColumn:
    values = {str(key): str(value) for key, value in entry.get("values", {}).items()}
    feature = Feature(
        name=entry["name"],
        unit=entry.get("unit", ""),
        categories=tuple(dict.fromkeys(values.values())),
        minimum=entry.get("minimum"),
        maximum=entry.get("maximum"),
        optional=entry.get("optional", False),
    )
    return FeatureColumn(
        feature,
        entry.get("column", entry["name"]),
        values,
        tuple(float(each) for each in entry.get("missing", ())),
        float(entry.get("scale", 1.0)),
    )
