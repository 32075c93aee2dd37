"""Keeps measurements of every answer for monitoring, and lets a challenger read along.

Both happen beside the answer: nothing here can delay or change it. The challenger (`shadow`) is
asked about the same input on one thread of the lowest priority; nobody sees what it says, it is
kept beside what the champion said. Where it cannot keep up, inputs are skipped, and that is kept.
"""

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from sqlalchemy.exc import SQLAlchemyError

from models import store
from models.errors import ZhuzhenError
from models.findings import ModelReference, Text
from models.institution_names import write_names
from models.observation import (
    BUSY,
    FAILED,
    OBSERVED,
    SHADOW,
    STOPPED,
    Observation,
    folder_of,
    line_of,
    skipped,
)
from serving.metrics import count_observation

_LOG = logging.getLogger("zhuzhen.watching")
_WAITING_LINES = 10_000
WAITING_INPUTS = 16
"""Inputs that wait for the challenger; it does not read those that come when so many do."""
_LOWEST_PRIORITY = 19
_OPEN_FILES = 8
_STOP_S = 10
_TOGETHER_S = 0.1
_LOOK_EVERY_S = 0.5
"""A challenger reads along from this long after it was stated."""

Challenge = Callable[[str], Observation]
"""From a model as `name@challenger` to what is kept of its answer on one input."""
NameInstitutions = Callable[[], Mapping[str, Text]]
"""Gives the names of all institutions by their ids."""
_Line = tuple[str, Observation]
_File = tuple[str, str, str]
"""Prefix of its name, model, day."""
_Input = tuple[str, Observation, Challenge]


class Watcher:
    """Writes observations and runs the shadow; may be told of answers from several threads."""

    def __init__(self, names: NameInstitutions = dict) -> None:
        self._names = names
        self._named: set[str] = set()
        self._lines: queue.Queue[_Line | None] = queue.Queue(_WAITING_LINES)
        self._inputs: queue.Queue[_Input | None] = queue.Queue(WAITING_INPUTS)
        self._challengers: dict[str, tuple[str, float]] = {}
        """Digest of each model's challenger, empty where it has none, and when that was looked up:
        under load, readers that open a file for each image wait for each other."""
        self._threads = [
            threading.Thread(target=work, name=name, daemon=True)
            for work, name in ((self._write, "observations"), (self._read_along, "shadow"))
        ]
        for thread in self._threads:
            thread.start()

    def saw(
        self, asked: str, answered: ModelReference, observation: Observation, challenge: Challenge
    ) -> None:
        """Keep `observation`, of what `answered` said when `asked` was asked for.

        A challenger of that name, where there is one, is asked by `challenge` about the same input.
        """
        self._keep("reading", OBSERVED, observation)
        if "@" not in asked and self._challenged(answered):
            try:
                self._inputs.put_nowait((f"{asked}@{store.CHALLENGER}", observation, challenge))
            except queue.Full:
                self._skip(observation, BUSY)

    def close(self) -> None:
        """Write what waits and stop; inputs that still wait for the shadow are skipped."""
        while not self._inputs.empty():
            waiting = self._inputs.get_nowait()
            if waiting is not None:
                self._skip(waiting[1], STOPPED)
        self._inputs.put(None)
        self._threads[1].join(_STOP_S)
        self._lines.put(None)
        self._threads[0].join(_STOP_S)

    def _challenged(self, answered: ModelReference) -> bool:
        """Return whether there is a challenger here that is not the version that answered."""
        digest, looked_at = self._challengers.get(answered.name, ("", 0.0))
        now = time.monotonic()
        if now - looked_at > _LOOK_EVERY_S:
            digest = _challenger_of(answered.name)
            self._challengers[answered.name] = (digest, now)
        return digest not in ("", answered.digest)

    def _skip(self, observation: Observation, why: str) -> None:
        count_observation("shadow", FAILED if why == FAILED else "skipped")
        self._keep("shadow", SHADOW, skipped(observation, why))

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
            model, observation, challenge = waiting
            try:
                said = challenge(model)
            except (ZhuzhenError, OSError) as error:
                self._skip(observation, FAILED)
                _LOG.warning("%s could not read along: %s", model, error)
            else:
                self._keep("shadow", SHADOW, replace(observation, challenger=said))

    def _write(self) -> None:
        files: dict[Path, BinaryIO] = {}
        is_open = True
        try:
            while is_open:
                groups: dict[_File, list[Observation]] = {}
                for line in self._waiting_lines():
                    if line is None:
                        is_open = False
                        break
                    prefix, observation = line
                    file = (prefix, observation.model, observation.at[:10])
                    groups.setdefault(file, []).append(observation)
                self._name({each.institution for found in groups.values() for each in found})
                for file, observations in groups.items():
                    self._append(files, file, observations)
        finally:
            for opened in files.values():
                opened.close()

    def _name(self, institutions: set[str]) -> None:
        """Write the names anew where an institution is seen for the first time since the start."""
        if institutions <= self._named:
            return
        self._named |= institutions
        try:
            write_names(self._names())
        except (SQLAlchemyError, OSError) as error:
            _LOG.error("names of institutions cannot be written: %s", type(error).__name__)

    def _waiting_lines(self) -> list[_Line | None]:
        """Wait for a line, and then a moment for more: writing each by itself holds readers up."""
        lines = [self._lines.get()]
        if lines[0] is not None:
            time.sleep(_TOGETHER_S)
        with suppress(queue.Empty):
            while True:
                lines.append(self._lines.get_nowait())
        return lines

    def _append(
        self, files: dict[Path, BinaryIO], file: _File, observations: list[Observation]
    ) -> None:
        prefix, model, day = file
        kind = "shadow" if prefix == SHADOW else "reading"
        path = folder_of(model) / f"{prefix}{day}.jsonl"
        try:
            if path not in files:
                if len(files) >= _OPEN_FILES:
                    # Yesterday's files; each day brings new ones.
                    for name in list(files):
                        files.pop(name).close()
                path.parent.mkdir(parents=True, exist_ok=True)
                # Whole lines are one write at the end of the file: others append to it, too.
                files[path] = path.open("ab", buffering=0)
            files[path].write("".join(map(line_of, observations)).encode())
            count_observation(kind, "written", len(observations))
        except OSError as error:
            count_observation(kind, "lost", len(observations))
            _LOG.error("observations cannot be written: %s", error.strerror)


@contextmanager
def watching(observe: bool, names: NameInstitutions) -> Iterator[Watcher | None]:
    """Give a watcher, or none where the operator wants nothing observed; close it at the end."""
    if not observe:
        yield None
        return
    watcher = Watcher(names)
    try:
        yield watcher
    finally:
        watcher.close()


def _challenger_of(name: str) -> str:
    try:
        challenger = store.aliases(name).get(store.CHALLENGER)
    except ZhuzhenError:
        return ""
    return challenger.digest if challenger is not None else ""
