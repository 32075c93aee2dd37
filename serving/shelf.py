"""The models that are ready to answer, following what their aliases mean.

A request takes a recognizer and keeps it to its end. When an alias changes, the new package is
loaded and verified beside the old one, which goes on answering until the new one is ready; then the
name means the new one, from one request to the next. A package that must not be loaded changes
nothing but the log.
"""

import logging
import threading

from models import store
from models.errors import ZhuzhenError
from serving.metrics import count_model_change
from serving.precision import Precision
from serving.recognition import Recognizer

_LOG = logging.getLogger("zhuzhen.shelf")


class Shelf:
    """Recognizers by package, each loaded and verified once; may be used from several threads."""

    def __init__(self, precision: Precision = Precision.FP32) -> None:
        self._precision = precision
        self._ready: dict[str, Recognizer] = {}
        self._loading = threading.Lock()
        self._refused: dict[str, str] = {}
        """The digest that could not be loaded, by model, so that it is told once."""
        self._stopped = threading.Event()
        self._follower: threading.Thread | None = None

    def ready(self, model: str) -> Recognizer | None:
        """Return what reads for `model` if it was loaded before, else None; never waits."""
        return self._ready.get(model)

    def recognizer(self, model: str) -> Recognizer:
        """Return what reads for `name` (its champion), `name@alias` or `name@version`.

        Where a name has no aliases, the version that answers first goes on answering until the
        service is started anew: a package that appears meanwhile must be named with its version.

        Raises:
            PackageError: there is no such package, or it must not be loaded.
        """
        ready = self._ready.get(model)
        if ready is not None:
            return ready
        with self._loading:
            if model not in self._ready:
                self._ready[model] = self._load(model)
            return self._ready[model]

    def follow(self, every_s: float) -> None:
        """Look at the aliases every `every_s` seconds, on a thread of its own, until `close`."""
        self._follower = threading.Thread(
            target=self._keep_following, args=(every_s,), name="alias-follower", daemon=True
        )
        self._follower.start()

    def follow_once(self) -> list[str]:
        """Load what changed aliases mean now and return the names whose version changed."""
        changed = []
        for model, now in list(self._ready.items()):
            try:
                meant = store.stated(model)
                if meant is None or meant.digest == now.package.reference_to.digest:
                    continue
                self._replace(model, now)
            except (ZhuzhenError, OSError) as error:
                self._tell_refused(model, error)
            else:
                changed.append(model)
        return changed

    def close(self) -> None:
        """Follow no longer."""
        self._stopped.set()
        if self._follower is not None:
            self._follower.join()

    def _keep_following(self, every_s: float) -> None:
        while not self._stopped.wait(every_s):
            self.follow_once()

    def _load(self, model: str) -> Recognizer:
        package = store.load(model)
        exact = f"{package.reference_to.name}@{package.reference_to.version}"
        known = self._ready.get(exact)
        if known is None or known.package.reference_to.digest != package.reference_to.digest:
            self._ready[exact] = Recognizer(package, precision=self._precision)
        return self._ready[exact]

    def _replace(self, model: str, old: Recognizer) -> None:
        with self._loading:
            new = self._load(model)
            # One assignment: whoever asks gets the old one or the new one, never a mixture.
            self._ready[model] = new
            before = old.package.reference_to
            if all(kept is not old for name, kept in self._ready.items() if name != _exact(old)):
                self._ready.pop(_exact(old), None)
        after = new.package.reference_to
        self._refused.pop(model, None)
        count_model_change(model=after.name, version=after.version, outcome="followed")
        _LOG.info("%s: version %s answers in place of %s", model, after.version, before.version)

    def _tell_refused(self, model: str, error: Exception) -> None:
        told = str(error)
        if self._refused.get(model) == told:
            return
        self._refused[model] = told
        now = self._ready[model].package.reference_to
        count_model_change(model=now.name, version=now.version, outcome="refused")
        _LOG.error("%s: version %s goes on answering: %s", model, now.version, told)


def _exact(recognizer: Recognizer) -> str:
    reference = recognizer.package.reference_to
    return f"{reference.name}@{reference.version}"
