"""What `$assess-risk` is sent: a Bundle of one person's resources, or Parameters around it.

Parameters (https://hl7.org/fhir/R4/parameters.html): `resource`, a Bundle or single resources;
`score`, a code, once for each score that is wanted (all that are on, where none is named);
`listsComplete`, a boolean: conditions and medications are sent as complete lists, so what is absent
from them is not there; and inputs that FHIR has no code for, by their own names, such as
`region_of_china`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from models.errors import InputError
from models.risk.inputs import INPUTS
from serving.fhir import codes
from serving.fhir.facts import Fact, Person, Resource, person_of

_VALUES = ("valueCode", "valueString", "valueBoolean", "valueDecimal", "valueInteger")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is wanted, of whom."""

    scores: tuple[str, ...]
    """Empty for all that are on."""
    person: Person


def read_request(
    body: Resource, *, lists_complete: bool = False, today: date | None = None
) -> Asked:
    """Read a Bundle or Parameters; `lists_complete` is for those that do not say it themselves.

    Raises:
        InputError: it is neither, holds several people, or a parameter is not known.
    """
    kind = body.get("resourceType")
    if kind == "Bundle":
        resources = list(bundled(body))
        return Asked((), one_person(resources, complete=lists_complete, today=today))
    if kind != "Parameters":
        raise InputError(
            "The body is neither a Bundle nor Parameters (FHIR R4); expected one of them with the "
            "person's Patient, Observation, Condition and MedicationStatement resources."
        )
    return _parameters(body, complete=lists_complete, today=today)


def bundled(bundle: Mapping[str, Any]) -> Iterator[Resource]:
    """Yield the resources of a Bundle."""
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        raise InputError("Bundle.entry is no list.")
    for entry in entries:
        resource = entry.get("resource") if isinstance(entry, Mapping) else None
        if isinstance(resource, Mapping):
            yield resource


def one_person(resources: list[Resource], *, complete: bool, today: date | None = None) -> Person:
    """Return what `resources` tell.

    Raises:
        InputError: they are of several people.
    """
    patients = {r.get("id") for r in resources if r.get("resourceType") == "Patient"}
    subjects = {
        str(subject.get("reference"))
        for r in resources
        if isinstance(subject := r.get("subject"), Mapping) and subject.get("reference")
    }
    if len(patients) > 1 or len(subjects) > 1:
        raise InputError(
            "The resources are of more than one person; send one person's resources at a time."
        )
    return person_of(resources, lists_complete=complete, today=today)


def _parameters(body: Resource, *, complete: bool, today: date | None) -> Asked:
    scores: list[str] = []
    resources: list[Resource] = []
    own: dict[str, Fact] = {}
    parameters = body.get("parameter", [])
    if not isinstance(parameters, list):
        raise InputError("Parameters.parameter is no list.")
    for parameter in parameters:
        if not isinstance(parameter, Mapping):
            raise InputError("Parameters.parameter holds something that is no object.")
        name = parameter.get("name")
        if name == "score":
            scores.append(str(_plain(parameter)))
        elif name == "listsComplete":
            complete = _plain(parameter) is True
        elif name == "resource" and isinstance(parameter.get("resource"), Mapping):
            resource = parameter["resource"]
            inner = bundled(resource) if resource.get("resourceType") == "Bundle" else (resource,)
            resources.extend(inner)
        elif isinstance(name, str) and name in INPUTS:
            own[name] = Fact(name, _sent(parameter), None)
        else:
            raise InputError(
                "A parameter is not known; expected score, listsComplete, resource or the name of "
                "an input of docs/risk-scores.md."
            )
    person = one_person(resources, complete=complete, today=today)
    return Asked(tuple(scores), replace(person, facts={**person.facts, **own}))


def _sent(parameter: Mapping[str, Any]) -> dict[str, Any]:
    quantity = parameter.get("valueQuantity")
    if isinstance(quantity, Mapping) and "value" in quantity:
        by_code = quantity.get("code") if quantity.get("system") == codes.UCUM else None
        unit = by_code or quantity.get("unit")
        return {"value": quantity["value"], **({"unit": unit} if unit else {})}
    return {"value": _plain(parameter)}


def _plain(parameter: Mapping[str, Any]) -> object:
    found = [parameter[name] for name in _VALUES if name in parameter]
    if len(found) != 1:
        raise InputError(f"A parameter needs exactly one of {', '.join(_VALUES)}, valueQuantity.")
    return found[0]
