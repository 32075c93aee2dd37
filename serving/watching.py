"""Keeps measurements of every reading for monitoring, and lets a challenger read along.

Both happen beside the answer: nothing here can delay or change it. The challenger (`shadow`) reads
the same bytes on one thread of the lowest priority; nobody sees what it says, it is kept beside
what the champion said. Where it cannot keep up, inputs are skipped and counted.
"""

import logging
import os
import queue
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import IO

from models import store
from models.errors import ZhuzhenError
from models.findings import PreRead
from models.observation import OBSERVED, SHADOW, Observation, Said, folder_of, line_of
from serving.metrics import count_observation
from serving.recognition import Reading
from serving.shelf import Shelf

_LOG = logging.getLogger("zhuzhen.watching")
_WAITING_LINES = 10_000
_WAITING_INPUTS = 16
_LOWEST_PRIORITY = 19
_STOP_S = 10
_LOOK_EVERY_S = 0.5
"""A challenger reads along from this long after it was stated."""

_Line = tuple[str, Observation]
_Input = tuple[str, bytes, Observation]


def observation_of(reading: Reading, institution: str) -> Observation:
    """Return what is kept of `reading`."""
    pre_read = reading.pre_read
    return Observation(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        institution=institution,
        model=pre_read.model.name,
        version=pre_read.model.version,
        verdict=pre_read.verdict.value,
        facts=_facts(pre_read),
        codes=_codes(pre_read),
        ood_score=pre_read.ood_score,
        position=reading.position,
        said={
            finding.label: Said(finding.probability, finding.decision.value)
            for finding in pre_read.findings
        },
    )


class Watcher:
    """Writes observations and runs the shadow; may be told of readings from several threads."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._lines: queue.Queue[_Line | None] = queue.Queue(_WAITING_LINES)
        self._inputs: queue.Queue[_Input | None] = queue.Queue(_WAITING_INPUTS)
        self._challengers: dict[str, tuple[str, float]] = {}
        """Digest of each model's challenger, empty where it has none, and when that was looked up:
        under load, readers that open a file for each image wait for each other."""
        self._threads = [
            threading.Thread(target=work, name=name, daemon=True)
            for work, name in ((self._write, "observations"), (self._read_along, "shadow"))
        ]
        for thread in self._threads:
            thread.start()

    def saw(self, model: str, reading: Reading, data: bytes, institution: str) -> None:
        """Keep what is to be kept of `reading`, which was asked of `model` and read from `data`."""
        observation = observation_of(reading, institution)
        self._keep("reading", OBSERVED, observation)
        if "@" not in model and self._challenged(reading):
            self._offer((model, data, observation))

    def close(self) -> None:
        """Write what waits and stop; inputs that still wait for the shadow are skipped."""
        while not self._inputs.empty():
            self._inputs.get_nowait()
            count_observation("shadow", "skipped")
        self._inputs.put(None)
        self._threads[1].join(_STOP_S)
        self._lines.put(None)
        self._threads[0].join(_STOP_S)

    def _challenged(self, reading: Reading) -> bool:
        """Return whether there is a challenger here that is not the version that answered."""
        model = reading.pre_read.model
        digest, looked_at = self._challengers.get(model.name, ("", 0.0))
        now = time.monotonic()
        if now - looked_at > _LOOK_EVERY_S:
            digest = _challenger_of(model.name)
            self._challengers[model.name] = (digest, now)
        return digest not in ("", model.digest)

    def _offer(self, waiting: _Input) -> None:
        try:
            self._inputs.put_nowait(waiting)
        except queue.Full:
            count_observation("shadow", "skipped")

    def _keep(self, kind: str, prefix: str, observation: Observation) -> None:
        try:
            self._lines.put_nowait((prefix, observation))
        except queue.Full:
            count_observation(kind, "lost")

    def _read_along(self) -> None:
        # Linux counts priorities by thread; elsewhere the shadow runs like any other.
        if hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
        while (waiting := self._inputs.get()) is not None:
            model, data, observation = waiting
            try:
                challenger = self._shelf.recognizer(f"{model}@{store.CHALLENGER}")
                said = observation_of(challenger.read(data), observation.institution)
            except (ZhuzhenError, OSError) as error:
                count_observation("shadow", "failed")
                _LOG.warning("%s: the challenger could not read along: %s", model, error)
            else:
                self._keep("shadow", SHADOW, replace(observation, challenger=said))

    def _write(self) -> None:
        files: dict[str, IO[str]] = {}
        try:
            while (line := self._lines.get()) is not None:
                self._append(files, *line)
                if self._lines.empty():
                    for file in files.values():
                        file.flush()
        finally:
            for file in files.values():
                file.close()

    def _append(self, files: dict[str, IO[str]], prefix: str, observation: Observation) -> None:
        kind = "shadow" if prefix == SHADOW else "reading"
        path = folder_of(observation.model) / f"{prefix}{observation.at[:10]}.jsonl"
        try:
            if str(path) not in files:
                for file in files.values():
                    file.flush()
                if len(files) > 8:
                    # Yesterday's files; each day brings new ones.
                    for name in list(files):
                        files.pop(name).close()
                path.parent.mkdir(parents=True, exist_ok=True)
                files[str(path)] = path.open("a", encoding="utf-8")
            files[str(path)].write(line_of(observation))
            count_observation(kind, "written")
        except OSError as error:
            count_observation(kind, "lost")
            _LOG.error("observations cannot be written: %s", error.strerror)


def _challenger_of(name: str) -> str:
    try:
        challenger = store.aliases(name).get(store.CHALLENGER)
    except ZhuzhenError:
        return ""
    return challenger.digest if challenger is not None else ""


def _facts(pre_read: PreRead) -> dict[str, float]:
    facts: dict[str, float] = {}
    quality = pre_read.quality
    if quality is not None:
        facts = {
            "rows_px": float(quality.rows),
            "columns_px": float(quality.columns),
            "dynamic_range": quality.dynamic_range,
            "clipped_fraction": quality.clipped_fraction,
            "sharpness": quality.sharpness,
        }
    if pre_read.facts is not None and pre_read.facts.age_years is not None:
        # To the year: enough to see another population, too little to know a child by.
        facts["age_years"] = float(int(pre_read.facts.age_years))
    return facts


def _codes(pre_read: PreRead) -> dict[str, str]:
    facts = pre_read.facts
    if facts is None:
        return {}
    named = {
        "source_format": facts.source_format,
        "modality": facts.modality,
        "body_part": facts.body_part,
        "view_position": facts.view_position,
        "photometric_interpretation": facts.photometric_interpretation,
    }
    # Longer values than any defined term are a sender's own words.
    return {name: value for name, value in named.items() if value and len(value) <= 16}
