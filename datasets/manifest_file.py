"""A manifest as one Parquet file: a row for each sample, and what the columns mean beside them.

Columns: `sample_id`, `group`, `present` (list), `subtype`, `sha256`, `path`, `site`, `age_years`,
`sex`, `followup_years`, `part`, then `fact.<name>` and `feature.<name>`. The
schema's metadata holds the rest under the key `zhuzhen`, as JSON, with the digest that the rows
must have.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datasets.manifest import Feature, Manifest, Sample, Value
from models.errors import DataError

FORMAT = 1
_KEY = b"zhuzhen"
_FIELDS = (
    ("sample_id", pa.string()),
    ("group", pa.string()),
    ("present", pa.list_(pa.string())),
    ("subtype", pa.string()),
    ("sha256", pa.string()),
    ("path", pa.string()),
    ("site", pa.string()),
    ("age_years", pa.float64()),
    ("sex", pa.string()),
    ("followup_years", pa.float64()),
    ("part", pa.string()),
)


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write `manifest` to `path`, whole or not at all."""
    columns: dict[str, Any] = {}
    for name, kind in _FIELDS:
        columns[name] = pa.array([getattr(each, name) for each in manifest], type=kind)
    for at, fact in enumerate(manifest.facts):
        columns[f"fact.{fact}"] = _column([each.facts[at] for each in manifest])
    for at, feature in enumerate(manifest.features):
        columns[f"feature.{feature.name}"] = _column([each.features[at] for each in manifest])
    head = {
        "format": FORMAT,
        "source": manifest.source,
        "version": manifest.version,
        "labels": manifest.labels,
        "exclusive": manifest.exclusive,
        "facts": manifest.facts,
        "features": [asdict(feature) for feature in manifest.features],
        "digest": manifest.digest,
    }
    table = pa.table(columns).replace_schema_metadata({_KEY: json.dumps(head)})
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    pq.write_table(table, part, compression="zstd")
    part.replace(path)


def read_manifest(path: Path, root: Path) -> Manifest:
    """Read the manifest at `path`; `root` is the folder that its samples' paths are relative to.

    Raises:
        DataError: it is not a manifest, or its rows are not those it was written with.
    """
    try:
        table = pq.read_table(path)
        head = json.loads((table.schema.metadata or {})[_KEY])
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise DataError(
            f"{path.name} is not a manifest; make it with `zhuzhen data manifest`."
        ) from error
    if head.get("format") != FORMAT:
        raise DataError(
            f"{path.name} has the format {head.get('format')}, this version reads {FORMAT}; make "
            "it again with `zhuzhen data manifest`."
        )
    manifest = _manifest(table, head, root)
    if manifest.digest != head["digest"]:
        raise DataError(
            f"{path.name} has the digest {manifest.digest[:19]}..., it was written with "
            f"{head['digest'][:19]}...: its rows were changed. Make it again from its source."
        )
    return manifest


def _manifest(table: Any, head: dict[str, Any], root: Path) -> Manifest:
    facts = tuple(head["facts"])
    features = tuple(
        Feature(**{**each, "categories": tuple(each["categories"])}) for each in head["features"]
    )
    samples = []
    for row in table.to_pylist():
        plain = {name: row[name] for name, _ in _FIELDS}
        plain["present"] = tuple(plain["present"])
        samples.append(
            Sample(
                **plain,
                facts=tuple(row[f"fact.{fact}"] for fact in facts),
                features=tuple(row[f"feature.{feature.name}"] for feature in features),
            )
        )
    return Manifest(
        source=head["source"],
        labels=tuple(head["labels"]),
        root=root,
        samples=tuple(samples),
        version=head["version"],
        exclusive=head["exclusive"],
        facts=facts,
        features=features,
    )


def _column(values: list[Value]) -> Any:
    kind = pa.string() if any(isinstance(value, str) for value in values) else pa.float64()
    return pa.array(values, type=kind)
