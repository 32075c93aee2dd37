"""A model package: one released version of a model, immutable and content-addressed.

<name>/<version>/
    configs/metadata.json    MONAI bundle metadata, with our contract under `zhuzhen`
    models/model.onnx        logits, activation_map and embedding from one input
    models/model.int8.onnx   the same, quantised
    calibration.json         models.calibration.LabelCalibration, one per label
    reference.npz            models.reference.Reference
    evaluation.json          written by training.evaluation, never by hand
    docs/README.md           the card, rendered from the other files
    SHA256SUMS               digest of every other file; its own digest names the package
"""

import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema

from models.calibration import Calibration, LabelCalibration
from models.errors import OtherKindError, PackageInvalidError, PackageTamperedError
from models.findings import Code, ModelReference, Text
from models.intended_use import Rule, rules_from
from models.preprocessing import InputSpec
from models.reference import Reference
from models.table import TableSpec, table_spec_from

CHECKSUMS = "SHA256SUMS"
METADATA = "configs/metadata.json"
CALIBRATION = "calibration.json"
REFERENCE = "reference.npz"
EVALUATION = "evaluation.json"
CARD = "docs/README.md"
RECALIBRATION = "recalibration.json"
"""In place of metadata and graph where the package is a risk score fitted to local people
(`models.risk.recalibration`)."""
ONNX = "models/model.onnx"
ONNX_INT8 = "models/model.int8.onnx"


@dataclass(frozen=True, slots=True)
class Label:
    """One thing the model can find, with its codes and its calibration."""

    label: str
    name: Text
    codes: tuple[Code, ...]
    calibration: LabelCalibration


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A verified package, ready to be served."""

    root: Path
    reference_to: ModelReference
    spec: InputSpec | TableSpec
    """What goes in: an image, or named inputs of a person."""
    labels: tuple[Label, ...]
    """In the order of the graph's `logits`."""
    calibration: Calibration
    """Of all labels together."""
    rules: tuple[Rule, ...]
    statement: Text
    """The intended use in words."""
    reference: Reference
    onnx_path: Path
    onnx_int8_path: Path | None

    @property
    def input_spec(self) -> InputSpec:
        """The image that goes in.

        Raises:
            OtherKindError: it is a model of people, which takes none.
        """
        if isinstance(self.spec, TableSpec):
            raise OtherKindError(self.reference_to.name, self.spec.kind)
        return self.spec

    @property
    def table_spec(self) -> TableSpec:
        """The named inputs that go in.

        Raises:
            OtherKindError: it is a model of images.
        """
        if isinstance(self.spec, InputSpec):
            raise OtherKindError(self.reference_to.name, self.spec.kind)
        return self.spec

    @classmethod
    def load(cls, root: Path) -> "ModelPackage":
        """Verify every file under `root`, then read the contract.

        Raises:
            PackageTamperedError: a file is missing, changed or not listed.
            PackageInvalidError: a file does not fit the contract.
        """
        digest = verify(root)
        metadata = _metadata(root)
        contract = metadata["zhuzhen"]
        spec = contract["input"]
        int8 = contract["files"].get("int8")
        labels = _labels(contract["labels"], _json(root / CALIBRATION))
        return cls(
            root=root,
            reference_to=ModelReference(metadata["name"], metadata["version"], digest),
            spec=table_spec_from(spec) if spec["kind"] == "table" else InputSpec(**spec),
            labels=labels,
            calibration=Calibration(
                tuple(label.calibration for label in labels), contract.get("exclusive", False)
            ),
            rules=rules_from(contract["intended_use"]["rules"]),
            statement=Text(**contract["intended_use"]["statement"]),
            reference=Reference.load(root / REFERENCE),
            onnx_path=_inside(root, contract["files"]["fp32"]),
            onnx_int8_path=_inside(root, int8) if int8 else None,
        )


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file as lower-case hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def seal(root: Path) -> str:
    """Write SHA256SUMS for all files under `root` and return the package's digest."""
    lines = [f"{digest_of(path)}  {path.relative_to(root).as_posix()}\n" for path in _files(root)]
    (root / CHECKSUMS).write_text("".join(lines), encoding="utf-8")
    return f"sha256:{digest_of(root / CHECKSUMS)}"


def verify(root: Path) -> str:
    """Check every file under `root` against SHA256SUMS and return the package's digest.

    Raises:
        PackageTamperedError: naming the first file that is missing, changed or not listed.
    """
    try:
        text = (root / CHECKSUMS).read_text(encoding="utf-8")
        pairs = (line.split("  ", 1) for line in text.splitlines())
        listed = {name: digest for digest, name in pairs}
    except (OSError, ValueError) as error:
        raise PackageTamperedError(
            f"{root.name}: {CHECKSUMS} is missing or unreadable; fetch the package again."
        ) from error
    present = {path.relative_to(root).as_posix() for path in _files(root)}
    for name in sorted(present ^ listed.keys()):
        state = "is listed but missing" if name in listed else "is not listed"
        raise PackageTamperedError(
            f"{root.name}: {name} {state} in {CHECKSUMS}; fetch the package again."
        )
    for name, expected in listed.items():
        found = digest_of(root / name)
        if found != expected:
            raise PackageTamperedError(
                f"{root.name}: {name} has SHA-256 {found[:12]}..., expected {expected[:12]}...; "
                "the package is not loaded, fetch it again."
            )
    return f"sha256:{digest_of(root / CHECKSUMS)}"


def _files(root: Path) -> list[Path]:
    found = (path for path in root.rglob("*") if path.is_file() and path != root / CHECKSUMS)
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PackageInvalidError(f"{path.name} cannot be read as JSON.") from error


def _metadata(root: Path) -> Any:
    metadata = _json(root / METADATA)
    check_metadata(metadata)
    return metadata


def check_metadata(metadata: Any) -> None:
    """Hold `metadata`, the content of `METADATA`, against its schema.

    Raises:
        PackageInvalidError: it does not fit; the message names the place.
    """
    schema_file = resources.files("models").joinpath("metadata.schema.json")
    try:
        jsonschema.validate(metadata, json.loads(schema_file.read_text("utf-8")))
    except jsonschema.ValidationError as invalid:
        where = "/".join(str(step) for step in invalid.absolute_path) or "the top level"
        raise PackageInvalidError(f"{METADATA}: at {where}: {invalid.message}") from invalid


def _labels(entries: list[dict[str, Any]], calibration: Any) -> tuple[Label, ...]:
    names = [entry["label"] for entry in entries]
    fitted = calibration.get("labels") if isinstance(calibration, dict) else None
    fitted = fitted if isinstance(fitted, dict) else {}
    if sorted(names) != sorted(fitted):
        raise PackageInvalidError(
            f"{CALIBRATION} is for {sorted(fitted)}, {METADATA} names {sorted(names)}; they must "
            "be the same labels."
        )
    return tuple(
        Label(
            label=entry["label"],
            name=Text(**entry["name"]),
            codes=tuple(Code(**code) for code in entry["codes"]),
            calibration=_calibration_of(entry["label"], fitted[entry["label"]]),
        )
        for entry in entries
    )


def _calibration_of(label: str, numbers: Any) -> LabelCalibration:
    names = LabelCalibration.__dataclass_fields__
    given = numbers if isinstance(numbers, dict) else {}
    wrong = [n for n in names if type(given.get(n)) not in (int, float)]
    if wrong:
        raise PackageInvalidError(
            f"{CALIBRATION}: {label} has no number {wrong[0]}; expected {', '.join(names)}."
        )
    return LabelCalibration(**{name: given[name] for name in names})


def _inside(root: Path, name: str) -> Path:
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()) or not path.is_file():
        raise PackageInvalidError(f"{METADATA} names {name}, which is not a file of the package.")
    return path
