"""Tables from FHIR R4 bulk exports (NDJSON): a row for each Patient, columns from Observations.

Settings: `folder` below the data folder with `*.ndjson`; `observations`, by column the `code` of an
Observation (`system|code`, FHIR R4 Observation.code) and the UCUM `unit` that its value must have;
`conditions`, by column the code of a Condition, which is `yes` or `no`. Of several observations the
latest counts. Patient ids become pseudonyms under the installation's secret.
"""

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from datasets.sources import Listing, Place, Row
from datasets.sources.incoming import secret
from models.errors import DataError

_RULED_OUT = ("refuted", "entered-in-error")
"""Condition.verificationStatus (FHIR R4) of what the patient does not have."""
_SEXES = {"female": "F", "male": "M", "other": "O"}


def fhir_ndjson(place: Place) -> Listing:
    """Return a row for each Patient: `patient`, `sex`, `age_years`, and the described columns.

    Raises:
        DataError: a line is no resource, a value has another unit, or refers to an absent patient;
            the message names file and line.
    """
    root = place.folder()
    table = _Table(place)
    for where, resource in _resources(root, place.name):
        table.take(where, resource)
    return Listing(root, table.rows())


class _Table:
    def __init__(self, place: Place) -> None:
        self._name = place.name
        self._key = secret()
        self._observations: Mapping[str, Any] = place.settings.get("observations", {})
        self._conditions: Mapping[str, str] = place.settings.get("conditions", {})
        self._patients: dict[str, tuple[str, dict[str, Any]]] = {}
        self._values: dict[tuple[str, str], tuple[str, str]] = {}
        self._said: dict[str, str] = {}

    def take(self, where: str, resource: Mapping[str, Any]) -> None:
        """Take what one resource says; other kinds say nothing here."""
        kind = resource.get("resourceType")
        if kind == "Patient":
            self._patients[str(resource.get("id"))] = where, dict(resource)
        elif kind == "Observation":
            self._observation(where, resource)
        elif kind == "Condition" and not _is_ruled_out(resource):
            for column, code in self._conditions.items():
                if code in _codes(resource):
                    self._keep(where, resource, column, "yes", "")

    def rows(self) -> Iterator[Row]:
        """Return the rows; every observation must be of a patient that is there."""
        if not self._patients:
            raise DataError(f"{self._name}/ has no Patient in any *.ndjson; export them, too.")
        for patient, where in self._said.items():
            if patient not in self._patients:
                raise DataError(f"{where}: its subject is not among the patients; export them too.")
        for patient, (where, resource) in self._patients.items():
            columns = dict.fromkeys([*self._observations], "") | dict.fromkeys(
                self._conditions, "no"
            )
            days = [day for (of, _), (day, _) in self._values.items() if of == patient and day]
            for (of, column), (_, value) in self._values.items():
                if of == patient:
                    columns[column] = value
            digest = hmac.digest(self._key, f"fhir {patient}".encode(), hashlib.sha256).hex()
            columns["patient"] = f"P{digest[:24].upper()}"
            columns["sex"] = _SEXES.get(str(resource.get("gender")), "")
            columns["age_years"] = _age(resource.get("birthDate"), max(days, default=""))
            yield Row(where, columns)

    def _observation(self, where: str, resource: Mapping[str, Any]) -> None:
        if resource.get("status") in ("cancelled", "entered-in-error"):
            return
        for column, wanted in self._observations.items():
            if wanted["code"] not in _codes(resource):
                continue
            quantity = resource.get("valueQuantity") or {}
            unit = quantity.get("code") or quantity.get("unit")
            if quantity.get("value") is not None and unit != wanted["unit"]:
                raise DataError(
                    f"{where}: {column} has the unit {unit!r}; expected {wanted['unit']!r}. "
                    "Convert it, or change the description."
                )
            day = str(resource.get("effectiveDateTime") or "")[:10]
            value = quantity.get("value")
            self._keep(where, resource, column, "" if value is None else str(value), day)

    def _keep(
        self, where: str, resource: Mapping[str, Any], column: str, value: str, day: str
    ) -> None:
        reference = str((resource.get("subject") or {}).get("reference", ""))
        patient = reference.removeprefix("Patient/")
        self._said.setdefault(patient, where)
        before = self._values.get((patient, column))
        if before is None or day >= before[0]:
            self._values[patient, column] = day, value


def _resources(root: Path, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(root.glob("*.ndjson")):
        try:
            lines = path.read_bytes().decode("utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise DataError(
                f"{name}/{path.name} is not UTF-8, which FHIR's JSON is; export it again."
            ) from error
        for number, line in enumerate(lines, start=1):
            where = f"{name}/{path.name} line {number}"
            try:
                content = json.loads(line)
            except ValueError as error:
                raise DataError(f"{where} is not JSON; export it again.") from error
            if not isinstance(content, dict) or "resourceType" not in content:
                raise DataError(f"{where} is no FHIR resource; expected one on each line.")
            yield where, content


def _codes(resource: Mapping[str, Any]) -> set[str]:
    codings = (resource.get("code") or {}).get("coding", [])
    return {f"{each.get('system')}|{each.get('code')}" for each in codings}


def _is_ruled_out(condition: Mapping[str, Any]) -> bool:
    codings = (condition.get("verificationStatus") or {}).get("coding", [])
    return any(each.get("code") in _RULED_OUT for each in codings)


def _age(born: Any, day: str) -> str:
    """Return whole years between two days; empty where one is not known to the day."""
    try:
        birth, then = date.fromisoformat(str(born)), date.fromisoformat(day)
    except ValueError:
        return ""
    return str(then.year - birth.year - ((then.month, then.day) < (birth.month, birth.day)))
