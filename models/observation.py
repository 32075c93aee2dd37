"""What is kept of each reading for monitoring: measurements, never the image or whose it is.

One JSON object a line, under `ZHUZHEN_HOME/monitoring/<model>/`, a file for each day (UTC):
`<date>.jsonl` of what was answered, `shadow-<date>.jsonl` of what a challenger would have said, or
why it said nothing.
Serving writes them; `training.drift` and `training.shadow_report` read them.
"""

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date
from pathlib import Path
from typing import Any

from models.errors import DataError
from models.store import home

COMPONENTS = 8
"""Of the embedding: its place along the package's first principal directions."""
UNKNOWN = "unknown"
"""The institution of a sender who belongs to none."""
OBSERVED, SHADOW = "", "shadow-"
"""Prefixes of the files."""
BUSY, FAILED, STOPPED = "busy", "failed", "stopped"
"""Why a challenger did not read an input: others waited, it could not, the service was ending."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one version said of one finding."""

    probability: float
    decision: str


@dataclass(frozen=True, slots=True)
class Observation:
    """One reading."""

    at: str
    """UTC, ISO 8601, to the second."""
    institution: str
    """Who sent the input; the service's own id of it."""
    model: str
    version: str
    verdict: str
    facts: Mapping[str, float]
    """Acquisition facts by name: size, dynamic range, clipping, sharpness, age."""
    codes: Mapping[str, str]
    """Coded facts of the header by name: modality, view, transfer syntax."""
    ood_score: float | None
    """Distance from what the model was made for, 1.0 at the refusal threshold."""
    position: tuple[float, ...]
    """Of the embedding, in standard deviations of the training data; COMPONENTS numbers at most."""
    said: Mapping[str, Said]
    """By finding; empty where the gate refused the input."""
    sent: str = ""
    """A keyed pseudonym of the input, which reviews of it have too; empty where there is none."""
    challenger: "Observation | None" = field(default=None)
    """In shadow files: what the challenger said of the same input."""
    skipped: str = ""
    """In shadow files: why it did not read the input; empty where it did."""


_PLAIN = tuple(
    each.name
    for each in fields(Observation)
    if each.name not in ("said", "sent", "challenger", "skipped")
)
"""What stands in JSON as it is."""


def folder_of(model: str) -> Path:
    """Return the folder of everything that is monitored of `model`."""
    return home() / "monitoring" / model


def skipped(observation: Observation, why: str) -> Observation:
    """Return what is kept of an input that a challenger did not read; `observation` is kept apart.

    `why` is BUSY, FAILED or STOPPED.
    """
    return replace(
        observation, facts={}, codes={}, position=(), said={}, ood_score=None, sent="", skipped=why
    )


def line_of(observation: Observation) -> str:
    """Return `observation` as one line of JSON."""
    return json.dumps(_content(observation), separators=(",", ":")) + "\n"


def read_days(model: str, kind: str, first: date, last: date) -> Iterator[Observation]:
    """Return what was written from day `first` to `last`; a line that was cut off is left out.

    Only the last line of a file can be cut off, by a machine that stopped while writing.

    Raises:
        DataError: another line cannot be read; the message names file and line.
    """
    for path in sorted(folder_of(model).glob(f"{kind}????-??-??.jsonl")):
        day = date.fromisoformat(path.stem.removeprefix(kind))
        if first <= day <= last:
            yield from read_file(path)


def read_file(path: Path) -> Iterator[Observation]:
    """Return the observations of one file; see `read_days`."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        if line.isspace():
            # It was erased, on request of the person whose input it was about.
            continue
        try:
            yield _observation(json.loads(line))
        except (ValueError, TypeError, KeyError) as error:
            if number == len(lines) and not line.endswith("\n"):
                return
            raise DataError(
                f"monitoring/{path.parent.name}/{path.name} line {number} is no observation; "
                "move the file away."
            ) from error


def erase(sent: Collection[str]) -> int:
    """Overwrite every observation of inputs of these pseudonyms; return how many there were.

    In place, since the service may be writing more at the end of the same files.
    """
    erased = 0
    for path, place, line in _lines_of(sent):
        with path.open("r+b") as file:
            os.pwrite(file.fileno(), b" " * (len(line) - 1), place)
            os.fsync(file.fileno())
        erased += 1
    return erased


def find(sent: Collection[str]) -> Iterator[bytes]:
    """Return every observation of inputs of these pseudonyms, as the lines that they are."""
    return (line for _, _, line in _lines_of(sent))


def _lines_of(sent: Collection[str]) -> Iterator[tuple[Path, int, bytes]]:
    """Return the whole lines of these inputs, with file and place in it (bytes)."""
    if not sent:
        return
    wanted = re.compile(b"|".join(re.escape(json.dumps(each).encode()) for each in sorted(sent)))
    for path in sorted((home() / "monitoring").glob("*/*.jsonl")):
        place = 0
        for line in path.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n") and wanted.search(line):
                yield path, place, line
            place += len(line)


def _content(observation: Observation) -> dict[str, Any]:
    content = {name: getattr(observation, name) for name in _PLAIN}
    content["said"] = {
        label: {"probability": each.probability, "decision": each.decision}
        for label, each in observation.said.items()
    }
    if observation.sent:
        content["sent"] = observation.sent
    if observation.skipped:
        content["skipped"] = observation.skipped
    if observation.challenger is not None:
        content["challenger"] = _content(observation.challenger)
    return content


def _observation(content: dict[str, Any]) -> Observation:
    challenger = content.pop("challenger", None)
    said = {label: Said(**each) for label, each in content.pop("said").items()}
    position = tuple(content.pop("position"))
    return Observation(
        **content,
        said=said,
        position=position,
        challenger=_observation(challenger) if challenger else None,
    )
