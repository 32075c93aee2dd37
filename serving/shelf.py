"""The models that are ready to answer."""

import threading

from models import store
from serving.precision import Precision
from serving.recognition import Recognizer


class Shelf:
    """Recognizers by package, each loaded and verified once; may be used from several threads."""

    def __init__(self, precision: Precision = Precision.FP32) -> None:
        self._precision = precision
        self._ready: dict[str, Recognizer] = {}
        self._loading = threading.Lock()

    def ready(self, model: str) -> Recognizer | None:
        """Return what reads for `model` if it was loaded before, else None; never waits."""
        return self._ready.get(model)

    def recognizer(self, model: str) -> Recognizer:
        """Return what reads for `name` (its newest version) or `name@version`.

        The version that answers first for a name goes on answering until the service is started
        anew: a package that appears meanwhile must be named with its version.

        Raises:
            PackageError: there is no such package, or it must not be loaded.
        """
        ready = self._ready.get(model)
        if ready is not None:
            return ready
        with self._loading:
            if model not in self._ready:
                package = store.load(model)
                exact = f"{package.reference_to.name}@{package.reference_to.version}"
                if exact not in self._ready:
                    self._ready[exact] = Recognizer(package, precision=self._precision)
                self._ready[model] = self._ready[exact]
            return self._ready[model]
