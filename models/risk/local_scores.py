"""The recalibrated scores of this installation, as they are in its store at the moment.

They lie among the model packages of `ZHUZHEN_HOME` and follow the same aliases: a name alone is its
champion or, where none was ever promoted, its newest version.
"""

import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from models import store
from models.errors import PackageError, PackageInvalidError, PackageTamperedError
from models.risk.recalibration import (
    Recalibration,
    is_recalibration,
    read_recalibration,
    recalibrated,
)
from models.risk.score import Score

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class LocalScores:
    """Those of one store, read again when it has changed; usable from several threads at once."""

    published: Mapping[str, Score]
    _seen: object = None
    _scores: dict[str, Score] = field(default_factory=dict)
    _broken: dict[str, PackageError] = field(default_factory=dict)
    _reading: threading.Lock = field(default_factory=threading.Lock)

    def current(self) -> Mapping[str, Score]:
        """Return every recalibrated score that can be used, by name."""
        seen = _state_of_the_store()
        if seen != self._seen:
            with self._reading:
                self._read()
                self._seen = seen
        return self._scores

    def find(self, name: str) -> Score | None:
        """Return the score `name` or `name@version`; None where there is none of that name.

        Raises:
            PackageError: there is one, and it must not be used.
        """
        plain, _, version = name.partition("@")
        scores = self.current()
        if plain in self._broken and not version:
            raise self._broken[plain]
        known = plain in scores or plain in self._broken
        if version and known:
            return recalibrated(load(name, self.published))
        return scores.get(plain)

    def _read(self) -> None:
        scores, broken = {}, {}
        for name, versions in store.versions().items():
            if not any(is_recalibration(folder) for folder in versions.values()):
                continue
            try:
                scores[name] = recalibrated(load(name, self.published))
            except PackageError as error:
                broken[name] = error
                _LOG.error("the recalibrated score %s is not used: %s", name, error)
        self._scores, self._broken = scores, broken


def load(name: str, published: Mapping[str, Score]) -> Recalibration:
    """Find, verify and read the recalibration `name`, `name@alias` or `name@version`.

    Raises:
        PackageError: there is none, or it is not what its alias or its folder says.
    """
    folder, meant = store.find(name), store.stated(name)
    found = read_recalibration(folder, published)
    if meant is not None and meant.digest != found.digest:
        raise PackageTamperedError(
            f"{found.name} {found.version} has the digest {found.digest}, {name} means "
            f"{meant.digest}; it is not used, pull it again."
        )
    if (found.name, found.version) != (folder.parent.name, folder.name):
        raise PackageInvalidError(
            f"The package in {folder.parent.name}/{folder.name} says that it is {found.name} "
            f"{found.version}; move it to the folder of that name."
        )
    return found


def _state_of_the_store() -> object:
    """Return what changes when a version or an alias does: some microseconds a call."""
    home = store.home() / "models"
    try:
        with os.scandir(home) as entries:
            return home, sorted((entry.name, entry.stat().st_mtime_ns) for entry in entries)
    except FileNotFoundError:
        return home, None
