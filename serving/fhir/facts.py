"""From FHIR R4 resources about one person to the inputs of risk scores.

Of each input the latest valid observation counts, by its LOINC code: final, amended or corrected
(https://hl7.org/fhir/R4/valueset-observation-status.html), with a value, and not from the future.
That a condition or medication is not among the resources says nothing, unless the sender declares
the lists to be complete.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice
from typing import Any

from models.findings import Text
from models.risk.input_kinds import Kind
from models.risk.inputs import INPUTS
from serving.fhir import codes

Resource = Mapping[str, Any]

_VALID = ("final", "amended", "corrected")
_TAKEN = ("active", "intended", "on-hold")
_ACTIVE = ("active", "recurrence", "relapse")
_MOST_RESOURCES = 5_000

_BY_LOINC = {code: name for name, entry in INPUTS.items() for code in entry.loinc}


@dataclass(frozen=True, slots=True)
class Fact:
    """One input as resources tell it."""

    name: str
    sent: Mapping[str, Any]
    """`value`, and where known `unit` (UCUM) and `date`: what `models.risk.reading` takes."""
    reference: str | None
    """`Type/id` of the resource, for `basis`."""
    on: date | None = None
    note: Text | None = None
    """What was concluded rather than read."""


@dataclass(frozen=True, slots=True)
class Person:
    """One person's inputs."""

    subject: str | None
    """`Patient/id`."""
    facts: Mapping[str, Fact]
    """By input."""
    number: str | None = None
    """The patient's number where the resources come from, by which the person is on record."""

    @property
    def inputs(self) -> dict[str, Mapping[str, Any]]:
        """The inputs as `models.risk.reading` takes them."""
        return {name: fact.sent for name, fact in self.facts.items()}


def person_of(
    resources: Iterable[Resource], *, today: date | None = None, lists_complete: bool = False
) -> Person:
    """Return what `resources` tell of one person.

    `lists_complete` says that all conditions and medications are among them, so that the absence
    of one means "no"; the answer tells which inputs were concluded so.
    """
    known = list(islice(resources, _MOST_RESOURCES))
    today = today or datetime.now(UTC).date()
    facts: dict[str, Fact] = {}
    for fact in _all_facts(known, today):
        earlier = facts.get(fact.name)
        if earlier is None or (fact.on or date.min) > (earlier.on or date.min):
            facts[fact.name] = fact
    if lists_complete:
        for name in (*codes.CONDITIONS, *codes.MEDICATIONS):
            facts.setdefault(name, Fact(name, {"value": False}, None, note=_NOT_LISTED))
    patient = next((r for r in known if r.get("resourceType") == "Patient"), None)
    if patient is None:
        return Person(_subject(known), facts, number_in(_subject(known)))
    return Person(_reference(patient), facts, _number_of(patient))


def number_in(reference: str | None) -> str | None:
    """Return the `id` in a reference, `Patient/id`."""
    return (reference or "").rpartition("/")[2] or None


def _number_of(patient: Resource) -> str | None:
    """Return the medical record number (HL7 v2 table 0203, MR), else the first identifier, else
    the resource's `id`.
    """
    identifiers = [
        (_codes(one.get("type"), None), one["value"])
        for one in _items(patient.get("identifier"))
        if isinstance(one.get("value"), str) and one["value"].strip()
    ]
    identifiers.sort(key=lambda one: "MR" not in one[0])
    return identifiers[0][1] if identifiers else number_in(_reference(patient))


def tells_something(resource: Resource) -> bool:
    """Whether a resource holds an input of any score."""
    return next(_all_facts([resource], date.max), None) is not None


def _all_facts(resources: list[Resource], today: date) -> Iterator[Fact]:
    for resource in resources:
        match resource.get("resourceType"):
            case "Patient":
                yield from _of_patient(resource, today)
            case "Observation":
                yield from _of_observation(resource, today)
            case "Condition":
                yield from _of_condition(resource)
            case "MedicationStatement" | "MedicationRequest":
                yield from _of_medication(resource)


def _of_patient(patient: Resource, today: date) -> Iterator[Fact]:
    reference = _reference(patient)
    gender = patient.get("gender")
    if gender in ("male", "female"):
        yield Fact("sex", {"value": gender}, reference)
    born = _date(patient.get("birthDate"))
    if born is not None and born <= today:
        before_birthday = (today.month, today.day) < (born.month, born.day)
        yield Fact("age_years", {"value": today.year - born.year - before_birthday}, reference)
    for address in _items(patient.get("address")):
        country = str(address.get("country", "")).upper()
        country = _ALPHA_3.get(country, country)
        if country in INPUTS["country"].choices:
            yield Fact("country", {"value": country}, reference)
            return


_ALPHA_3 = {"CN": "CHN", "CHINA": "CHN", "中国": "CHN"}


def _of_observation(observation: Resource, today: date) -> Iterator[Fact]:
    if observation.get("status") not in _VALID:
        return
    on = _effective(observation)
    if on is not None and on > today:
        return
    reference = _reference(observation)
    for part in (observation, *_items(observation.get("component"))):
        for name in _inputs_of(part.get("code")):
            sent = _value(name, part)
            if sent is not None:
                dated = sent if on is None else {**sent, "date": on.isoformat()}
                if name in _ACR_BY_UNIT.values():
                    name = _ACR_BY_UNIT.get(str(sent.get("unit")), name)
                yield Fact(name, dated, reference, on)


_ACR_BY_UNIT = {"mg/g": "urine_acr_mg_g", "mg/mmol": "urine_acr_mg_mmol"}
"""Staged in the unit that was reported, whichever code it was reported under."""


def _inputs_of(concept: object) -> Iterator[str]:
    named = {_BY_LOINC.get(code, "") for code in _codes(concept, (codes.LOINC,))}
    own = {name for name in _codes(concept, (codes.OWN_INPUT,)) if name in INPUTS}
    yield from sorted((named | own) - {""})


def _value(name: str, part: Mapping[str, Any]) -> dict[str, Any] | None:
    entry = INPUTS[name]
    quantity = part.get("valueQuantity")
    if entry.kind is Kind.NUMBER and isinstance(quantity, Mapping):
        # A comparator (<, >=) says that the value is not known.
        if "value" not in quantity or quantity.get("comparator"):
            return None
        unit = quantity.get("code") if quantity.get("system") == codes.UCUM else None
        unit = unit or quantity.get("unit")
        return {"value": quantity["value"], **({"unit": unit} if unit else {})}
    if entry.kind is Kind.NUMBER and "valueInteger" in part:
        return {"value": part["valueInteger"]}
    if entry.kind is Kind.CHOICE:
        words = [part.get("valueString"), *_codes(part.get("valueCodeableConcept"), None)]
        told = [word for word in words if isinstance(word, str) and word]
        return {"value": told[0]} if told else None
    if entry.kind is Kind.FLAG and isinstance(part.get("valueBoolean"), bool):
        return {"value": part["valueBoolean"]}
    if name == "current_smoker":
        answers = _codes(part.get("valueCodeableConcept"), (codes.LOINC, codes.SNOMED))
        found = [codes.SMOKING_ANSWERS[code] for code in answers if code in codes.SMOKING_ANSWERS]
        return {"value": found[0]} if found else None
    return None


def _of_condition(condition: Resource) -> Iterator[Fact]:
    verified = _codes(condition.get("verificationStatus"), None)
    if "entered-in-error" in verified:
        return
    status = _codes(condition.get("clinicalStatus"), None)
    present = "refuted" not in verified and (not status or bool(set(status) & set(_ACTIVE)))
    by_icd = _codes(condition.get("code"), codes.ICD_10_SYSTEMS)
    by_snomed = _codes(condition.get("code"), (codes.SNOMED,))
    on = _date(condition.get("recordedDate") or condition.get("onsetDateTime"))
    for name, (categories, concepts) in codes.CONDITIONS.items():
        named = any(code.upper().startswith(categories) for code in by_icd)
        if named or set(by_snomed) & set(concepts):
            # What once happened stays history, whether or not it is active now.
            once = name in ("prior_stroke_tia", "vascular_disease") and "refuted" not in verified
            yield Fact(name, {"value": present or once}, _reference(condition), on)


def _of_medication(statement: Resource) -> Iterator[Fact]:
    if statement.get("status") not in _TAKEN:
        return
    by_atc = _codes(statement.get("medicationCodeableConcept"), (codes.ATC,))
    on = _effective(statement) or _date(statement.get("authoredOn"))
    for name, beginnings in codes.MEDICATIONS.items():
        if any(code.upper().startswith(beginnings) for code in by_atc):
            yield Fact(name, {"value": True}, _reference(statement), on)


def _codes(concept: object, systems: tuple[str, ...] | None) -> list[str]:
    if not isinstance(concept, Mapping):
        return []
    return [
        str(coding["code"])
        for coding in _items(concept.get("coding"))
        if "code" in coding and (systems is None or coding.get("system") in systems)
    ]


def _items(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _effective(resource: Resource) -> date | None:
    period = resource.get("effectivePeriod")
    ended = period.get("end") or period.get("start") if isinstance(period, Mapping) else None
    return _date(
        resource.get("effectiveDateTime")
        or resource.get("effectiveInstant")
        or ended
        or resource.get("issued")
    )


def _date(value: object) -> date | None:
    """Return a FHIR date, dateTime or instant as a date; partial ones as their first day."""
    if not isinstance(value, str):
        return None
    text = value[:10]
    try:
        return date.fromisoformat(text + {4: "-01-01", 7: "-01"}.get(len(text), ""))
    except ValueError:
        return None


def _reference(resource: Resource) -> str | None:
    kind, identifier = resource.get("resourceType"), resource.get("id")
    return f"{kind}/{identifier}" if isinstance(identifier, str) and identifier else None


def _subject(resources: list[Resource]) -> str | None:
    for resource in resources:
        subject = resource.get("subject")
        if isinstance(subject, Mapping) and isinstance(subject.get("reference"), str):
            reference: str = subject["reference"]
            return reference
    return None


_NOT_LISTED = Text(
    "not among the conditions or medications that were sent as complete lists",
    "所提供的完整诊断或用药列表中未见此项",
)
