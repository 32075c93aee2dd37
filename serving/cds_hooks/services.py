"""The services that are offered, with what they ask to be fetched for them beforehand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.errors import InputError
from models.findings import Text
from models.risk.inputs import INPUTS
from serving.fhir import codes
from serving.fhir.facts import Person, Resource, person_of
from serving.fhir.operation import bundled


@dataclass(frozen=True, slots=True)
class Service:
    """One CDS service."""

    id: str
    hook: str
    title: Text
    description: Text
    only_for: tuple[str, ...] = ()
    """ICD-10 categories whose addition to the problem list it answers; empty for all."""


CARDIOMETABOLIC = Service(
    "cardiometabolic-risk",
    "patient-view",
    Text("Chronic-disease risk", "慢性病风险评估"),
    Text(
        "Published risk scores that apply to the patient, with inputs, sources and limits. "
        "Decision support for professionals; not a cleared medical device.",
        "对患者适用的已发表风险评分，附所用数据、来源和局限。仅供专业人员辅助决策；未经医疗器械注册审批。",
    ),
)
ATRIAL_FIBRILLATION = Service(
    "atrial-fibrillation-stroke-risk",
    "problem-list-item-create",
    Text("Stroke risk in atrial fibrillation", "心房颤动卒中风险"),
    Text(
        "CHA2DS2-VA and CHA2DS2-VASc when atrial fibrillation is added to the problem list.",
        "在问题列表中新增心房颤动时给出CHA2DS2-VA和CHA2DS2-VASc评分。",
    ),
    only_for=("I48",),
)
SERVICES: Mapping[str, Service] = {
    service.id: service for service in (CARDIOMETABOLIC, ATRIAL_FIBRILLATION)
}

_OBSERVED = ",".join(
    (
        f"{codes.LOINC}|{codes.BLOOD_PRESSURE_PANEL}",
        *sorted(f"{codes.LOINC}|{code}" for entry in INPUTS.values() for code in entry.loinc),
        # What no system has a code for, without which China-PAR would never be shown.
        *(
            f"{codes.OWN_INPUT}|{name}"
            for name in ("region_of_china", "residence", "family_history_ascvd")
        ),
    )
)
_PREFETCH = {
    "patient": "Patient/{{context.patientId}}",
    "observations": "Observation?patient={{context.patientId}}"
    f"&code={_OBSERVED}&_sort=-date&_count=200",
    "conditions": "Condition?patient={{context.patientId}}&_count=200",
    "medications": "MedicationStatement?patient={{context.patientId}}&status=active&_count=200",
}
"""https://cds-hooks.hl7.org/2.0/#prefetch-template"""


def discovery() -> dict[str, Any]:
    """Return the answer of `GET /cds-services`."""
    return {
        "services": [
            {
                "hook": service.hook,
                "id": service.id,
                "title": f"{service.title.en} / {service.title.zh}",
                "description": f"{service.description.en} / {service.description.zh}",
                "prefetch": dict(_PREFETCH),
                "usageRequirements": "Needs the prefetched resources; it fetches nothing itself.",
            }
            for service in SERVICES.values()
        ]
    }


class PrefetchMissingError(InputError):
    """A call came without what the service asks to have fetched for it."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a service, as far as it is used."""

    hook_instance: str
    person: Person
    concerns: tuple[Resource, ...]
    """Conditions that are being added."""


def read_call(service: Service, body: Mapping[str, Any]) -> Call:
    """Read the body of a call (https://cds-hooks.hl7.org/2.0/#http-request_1).

    Raises:
        PrefetchMissingError: the patient was not fetched beforehand.
        InputError: a required field is missing, or it is for another hook.
    """
    context, instance = body.get("context"), body.get("hookInstance")
    if body.get("hook") != service.hook:
        raise InputError(f"The hook is not {service.hook}, which this service answers.")
    if not isinstance(instance, str) or not isinstance(context, Mapping):
        raise InputError("hookInstance or context is missing (CDS Hooks 2.0, calling a service).")
    if not isinstance(context.get("patientId"), str):
        raise InputError("context.patientId is missing.")
    prefetch = body.get("prefetch")
    if not isinstance(prefetch, Mapping) or not isinstance(prefetch.get("patient"), Mapping):
        raise PrefetchMissingError(
            "The prefetched patient is missing. This service fetches nothing itself: send what the "
            "prefetch templates of GET /cds-services ask for."
        )
    added = _added(context)
    resources = [*(r for key in _PREFETCH for r in _resources(prefetch.get(key))), *added]
    # A list that was fetched whole says what is not there, too.
    complete = all(_is_whole(prefetch.get(key)) for key in ("conditions", "medications"))
    return Call(instance, person_of(resources, lists_complete=complete), tuple(added))


def concerns(service: Service, call: Call) -> bool:
    """Whether the service has anything to say on what is being added."""
    if not service.only_for:
        return True
    coded = [
        str(coding.get("code", "")).upper()
        for condition in call.concerns
        for coding in _codings(condition)
    ]
    return any(code.startswith(service.only_for) for code in coded)


def _is_whole(found: object) -> bool:
    """Whether a search's Bundle was sent, and has no further page."""
    if not isinstance(found, Mapping) or found.get("resourceType") != "Bundle":
        return False
    links = found.get("link")
    pages = links if isinstance(links, list) else []
    return not any(isinstance(link, Mapping) and link.get("relation") == "next" for link in pages)


def _added(context: Mapping[str, Any]) -> list[Resource]:
    conditions = context.get("conditions")
    if isinstance(conditions, Mapping):
        return list(_resources(conditions))
    return [c for c in conditions if isinstance(c, Mapping)] if isinstance(conditions, list) else []


def _resources(found: object) -> list[Resource]:
    if not isinstance(found, Mapping):
        return []
    return list(bundled(found)) if found.get("resourceType") == "Bundle" else [found]


def _codings(condition: Resource) -> list[Mapping[str, Any]]:
    concept = condition.get("code")
    codings = concept.get("coding") if isinstance(concept, Mapping) else None
    return [c for c in codings if isinstance(c, Mapping)] if isinstance(codings, list) else []
