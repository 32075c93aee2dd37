"""Model packages of people beside the published equations, each loaded once and when asked for."""

import threading
from collections.abc import Mapping
from math import isnan
from typing import Any

from models import store
from models.errors import InputError
from models.observation import Observation
from models.risk.inputs import INPUTS
from models.risk.reading import read_value
from models.risk.registry import known
from models.table import Given
from serving.observations import observed_person
from serving.people import Assessment, TabularModel, assessment_answer
from serving.risk.choosing import APPLICABLE
from serving.watching import Watcher


class PackagedModels:
    """Models of people by name; may be used from several threads at once."""

    def __init__(self, watcher: Watcher | None = None) -> None:
        """Keep what is to be monitored of every answer with `watcher`, where there is one."""
        self._watcher = watcher
        self._ready: dict[str, TabularModel] = {}
        self._loading = threading.Lock()

    def names_among(self, asked: object) -> list[str]:
        """Return which of the scores that were asked for are packages and no equations."""
        names = [asked] if isinstance(asked, str) else asked
        if not isinstance(names, list):
            return []
        others = [name for name in names if isinstance(name, str) and not known(name)]
        # The store is looked through only where no equation has that name.
        there = store.versions() if others and others != [APPLICABLE] else {}
        return [name for name in others if name.partition("@")[0] in there]

    def model(self, name: str) -> TabularModel:
        """Return the model `name` (its current version) or `name@version`.

        Raises:
            OtherKindError: it is a model of images.
            PackageError: there is none, or it must not be loaded.
        """
        with self._loading:
            meant = store.stated(name)
            ready = self._ready.get(name)
            if ready is not None and (
                meant is None or meant.digest == ready.package.reference_to.digest
            ):
                return ready
            self._ready[name] = TabularModel(store.load(name))
            return self._ready[name]

    def answers(
        self, names: list[str], person: Mapping[str, object], institution: str
    ) -> list[dict[str, Any]]:
        """Return what each of the models says of `person`, whom `institution` asks about.

        Raises:
            InputError: a value is given in a unit that the model does not take.
        """
        found = []
        for name in names:
            model = self.model(name)
            given = {key: _plain(key, value, model) for key, value in person.items()}
            assessment = model.assess(given)
            self._watch(name, assessment, model, given, institution)
            found.append(
                assessment_answer(assessment, source="person", intended_use=model.package.statement)
            )
        return found

    def _watch(
        self,
        name: str,
        assessment: Assessment,
        model: TabularModel,
        given: Mapping[str, Given],
        institution: str,
    ) -> None:
        if self._watcher is None:
            return

        def challenge(other: str) -> Observation:
            challenger = self.model(other)
            said = challenger.assess(given)
            return observed_person(said, challenger.package.table_spec, institution)

        observed = observed_person(assessment, model.package.table_spec, institution)
        self._watcher.saw(name, assessment.model, observed, challenge)

    def inputs_of(self, names: list[str]) -> frozenset[str]:
        """Return every name under which the models take inputs."""
        return frozenset(
            key
            for name in names
            for entry in self.model(name).package.table_spec.inputs
            for key in (entry.name, *entry.aliases)
        )


def _plain(name: str, value: object, model: TabularModel) -> Any:
    """Return the bare value; one with a unit is converted as for the equations."""
    if not isinstance(value, Mapping):
        return value if isinstance(value, str | int | float | bool | None) else str(type(value))
    unit = value.get("unit")
    if unit is None:
        return value.get("value")
    if name in INPUTS:
        given = read_value(name, value)
        if given.problem is not None:
            raise InputError(given.problem.en)
        # Some are kept in the unit they were reported in, under a name that says so.
        if given.name != name:
            raise InputError(f"{name} has another unit; expected {INPUTS[name].unit}.")
        return None if isnan(given.value) else given.value
    units = {entry.name: entry.unit for entry in model.package.table_spec.inputs}
    if name in units and units[name] != unit:
        raise InputError(
            f"{name} has another unit than the model takes; expected {units[name] or 'none'}."
        )
    return value.get("value")
