"""From a description to a manifest: every row of the source becomes a sample, or an error."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets.description import FOLDER, Description, FeatureColumn, load_description
from datasets.manifest import PARTS, SEXES, Manifest, Sample, Value
from datasets.sources import Listing, Place, Row, source_of
from models.errors import DataError
from models.package import digest_of


def read(name: str, data: Path) -> Manifest:
    """Read the data set `name`, one of the project's or a YAML file, into a manifest.

    Args:
        name: of a description in the project, or the path of one.
        data: folder of all data sets (`ZHUZHEN_DATA`).

    Raises:
        DataError: the source is absent, or has a row or a file that does not fit; the message names
            it. No row is ever left out.
    """
    description = load_description(name)
    listing = _listing(name, description, data)
    one = _Samples(description, listing.root)
    return manifest_of(description, listing.root, tuple(one.of(row) for row in listing.rows))


def read_all(name: str, data: Path) -> tuple[Description, Path, list[Sample], list[DataError]]:
    """Read like `read`, but go on after a row that does not fit: for finding all of them.

    Returns:
        The description, the folder of the files, the samples that fit and what was found wrong.
    """
    description = load_description(name)
    listing = _listing(name, description, data)
    one = _Samples(description, listing.root)
    samples, wrong = [], []
    for row in listing.rows:
        try:
            samples.append(one.of(row))
        except DataError as error:
            wrong.append(error)
    return description, listing.root, samples, wrong


def _listing(name: str, description: Description, data: Path) -> Listing:
    beside = Path(name).parent if name.endswith((".yaml", ".yml")) else FOLDER
    place = Place(description.name, data, beside, description.source)
    return source_of(description.source["kind"])(place)


def manifest_of(description: Description, root: Path, samples: tuple[Sample, ...]) -> Manifest:
    """Return the manifest of `samples`, read by `description`.

    Raises:
        DataError: they contradict each other, a group is in two parts, or there are none.
    """
    _refuse_divided_groups(description.name, samples)
    samples = _even(samples)
    return Manifest(
        source=description.name,
        labels=description.labels,
        root=root,
        samples=samples,
        version=description.version,
        exclusive=description.exclusive,
        facts=tuple(description.facts),
        features=tuple(each.feature for each in description.features),
    )


def _refuse_divided_groups(name: str, samples: tuple[Sample, ...]) -> None:
    first: dict[str, Sample] = {}
    for sample in samples:
        other = first.setdefault(sample.group, sample) if sample.part else sample
        if other.part != sample.part:
            raise DataError(
                f"{name}: {other.sample_id} is in {other.part} and {sample.sample_id} in "
                f"{sample.part}, and both are of one group. Give all samples of a group one part."
            )


def _even(samples: tuple[Sample, ...]) -> tuple[Sample, ...]:
    """Return the samples with facts that are numbers in all, or text in all."""
    columns = list(zip(*(sample.facts for sample in samples), strict=True))
    kinds = [{*map(type, values)} - {type(None)} for values in columns]
    mixed = {at for at, found in enumerate(kinds) if len(found) > 1}
    if not mixed:
        return samples
    return tuple(
        replace(
            sample,
            facts=tuple(
                f"{value:g}" if at in mixed and isinstance(value, float) else value
                for at, value in enumerate(sample.facts)
            ),
        )
        for sample in samples
    )


class _Samples:
    """Makes a sample of each row; no two may have one id."""

    def __init__(self, description: Description, root: Path) -> None:
        self._description = description
        self._root = root
        self._first: dict[str, str] = {}

    def of(self, row: Row) -> Sample:
        """Return the sample of `row`.

        Raises:
            DataError: it does not fit the description, or another row is the same sample.
        """
        sample = _sample(self._description, self._root, row)
        first = self._first.setdefault(sample.sample_id, row.where)
        if first != row.where:
            raise DataError(
                f"{first} and {row.where} are both {sample.sample_id}; sample ids must be unique: "
                "drop one of the rows, or correct its id."
            )
        return sample


def _sample(description: Description, root: Path, row: Row) -> Sample:
    field = _Fields(description.fields, row)
    present, followup = _present(description, row)
    features = tuple(_feature(each, row) for each in description.features)
    if description.features:
        path, sample_id = "", field.needed("id")
        sha256 = hashlib.sha256(json.dumps(features).encode()).hexdigest()
    else:
        path, sha256 = _file(description, root, row, field)
        sample_id = field.text("id") or path
        path = "" if path == sample_id else path
    return Sample(
        sample_id=sample_id,
        group=field.needed("group"),
        present=present,
        subtype=_subtype(description, row, field, present),
        sha256=sha256,
        path=path,
        site=field.text("site"),
        age_years=field.number("age_years"),
        sex=field.one_of("sex", SEXES),
        followup_years=followup,
        part=field.one_of("part", PARTS),
        facts=tuple(_fact(column, row) for column in description.facts.values()),
        features=features,
    )


class _Fields:
    """The fields of a sample, looked up in one row."""

    def __init__(self, fields: Mapping[str, Any], row: Row) -> None:
        self._fields = fields
        self._row = row

    def text(self, name: str) -> str:
        field = self._fields.get(name)
        if field is None:
            return ""
        if isinstance(field, str):
            return _of(self._row, field)
        if "constant" in field:
            return str(field["constant"])
        found = _of(self._row, field["column"])
        values = field.get("values")
        if values is None:
            return found
        if found not in values:
            raise DataError(
                f"{self._row.where}: {field['column']} is {found!r}; expected one of "
                f"{list(values)}."
            )
        return str(values[found])

    def needed(self, name: str) -> str:
        found = self.text(name)
        if not found:
            field = self._fields.get(name, name)
            column = field if isinstance(field, str) else field.get("column", name)
            raise DataError(f"{self._row.where}: {column} must not be empty.")
        return found

    def one_of(self, name: str, known: tuple[str, ...]) -> str:
        found = self.text(name)
        if found and found not in known:
            raise DataError(
                f"{self._row.where}: {name} is {found!r}; expected one of {list(known)}, or "
                "nothing. Correct the row, or say under `fields` what its values mean."
            )
        return found

    def number(self, name: str) -> float | None:
        found = self.text(name)
        return None if not found else _number(found, name, self._row)


def _of(row: Row, column: str) -> str:
    if column not in row.values:
        raise DataError(
            f"{row.where} has no column {column!r}; there are {list(row.values)}. Correct the "
            "description or the table."
        )
    return row.values[column]


def _file(description: Description, root: Path, row: Row, field: _Fields) -> tuple[str, str]:
    path = field.needed("path")
    file = (root / path).resolve()
    if not file.is_relative_to(root.resolve()) or not file.is_file():
        raise DataError(
            f"{row.where}: {path} is not a file of {description.name}/; restore it or drop the row."
        )
    return path, digest_of(file)


def _present(description: Description, row: Row) -> tuple[tuple[str, ...], float | None]:
    """Return the findings of a row and, of survival data, the years of follow-up (0 if none)."""
    survival = description.present.get("survival_column")
    if survival is not None:
        years = _number(_of(row, survival), survival, row)
        return ((description.labels[0],) if years > 0 else ()), abs(years)
    column, values = description.present["column"], description.present["values"]
    found = _of(row, column)
    if found not in values:
        raise DataError(
            f"{row.where}: {column} {found!r} is not in the description; expected one of "
            f"{list(values)}. Correct the row, or add the value to `present`."
        )
    return tuple(sorted(values[found])), None


def _subtype(description: Description, row: Row, field: _Fields, present: tuple[str, ...]) -> str:
    if "subtype" not in description.fields:
        return "+".join(present) or "none"
    subtype = field.text("subtype")
    if description.subtypes:
        label = _of(row, description.present["column"])
        allowed = description.subtypes.get(label, ())
        if subtype not in allowed:
            raise DataError(
                f"{row.where}: {description.present['column']} {label!r} with subtype {subtype!r}; "
                f"expected one of {list(allowed)}."
            )
    return subtype


def _fact(column: str, row: Row) -> Value:
    found = _of(row, column)
    if not found:
        return None
    try:
        return float(found)
    except ValueError:
        return found


def _feature(column: FeatureColumn, row: Row) -> Value:
    feature = column.feature
    found = _of(row, column.column)
    if feature.categories:
        value: Value = column.values.get(found)
        if value is None and found:
            raise DataError(
                f"{row.where}: {column.column} is {found!r}; expected one of {list(column.values)}."
            )
    elif not found or found.lower() in ("nan", "na"):
        value = None
    else:
        number = _number(found, column.column, row)
        value = None if number in column.missing else _within(column, number, row)
    if value is None and not feature.optional:
        raise DataError(
            f"{row.where}: {column.column} is missing or not a number; fill it in, drop the row, "
            f"or say `optional: true` for {feature.name} in the description."
        )
    return value


def _within(column: FeatureColumn, number: float, row: Row) -> float:
    feature, value = column.feature, number * column.scale
    low = feature.minimum if feature.minimum is not None else float("-inf")
    high = feature.maximum if feature.maximum is not None else float("inf")
    if not low <= value <= high:
        raise DataError(
            f"{row.where}: {column.column} is outside {low:g} to {high:g} {feature.unit}; correct "
            f"it, or widen the range of {feature.name} in the description."
        )
    return value


def _number(text: str, name: str, row: Row) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise DataError(f"{row.where}: {name} is not a number; correct it.") from error
    if not abs(value) < float("inf"):
        raise DataError(f"{row.where}: {name} is not a finite number; correct it.")
    return value
