"""`/v1/audit`: the record of every access, for auditors."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus

from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serving.access import access_of
from serving.audit.anchor import Anchor
from serving.audit.disclosures import DisclosureReport
from serving.audit.events import PSEUDONYM
from serving.audit.exports import FORMATS, write_event
from serving.audit.opening import anchor_path, audit_engine, trusted_keys
from serving.audit.queries import Criteria, events_about, find_events
from serving.audit.verification import Verification, snapshot, verify
from serving.doors.describing import described, option, refusals
from serving.doors.route import Operation, Part, Route
from serving.policy import Action, Target
from serving.privacy import Keyring
from serving.problems import Problem

_MOST_EVENTS = 10_000
_REFUSED = refusals(
    {
        "400": "An option is not known, or not what it should be.",
        "401": "There is no credential that is valid now.",
        "403": "Not allowed: auditors alone.",
    }
)


async def _events(request: Request) -> Response:
    """A line for each event, in the form asked for."""
    access = access_of(request)
    options = request.query_params
    if set(options) - {"format", "patient", "since", "until"}:
        raise _bad("expected format, patient, since and until")
    form = options.get("format", "json")
    if form not in FORMATS:
        raise _bad(f"format is one of {', '.join(FORMATS)}")
    wanted = Criteria(
        _patient(options.get("patient")), _moment(options, "since"), _moment(options, "until")
    )
    await asyncio.to_thread(access.require, Target("audit_log", None, wanted.patient))
    lines = await asyncio.to_thread(_lines, request.app.state.audit_engine, wanted, form)
    return Response("\n".join([*lines, ""]), media_type="application/x-ndjson")


async def _verification(request: Request) -> Response:
    access = access_of(request)
    access.require(Target("audit_log"))
    found = await asyncio.to_thread(_verified, request.app.state.audit_engine, access.guard.keyring)
    return JSONResponse(asdict(found) | {"intact": found.intact})


async def _disclosures(request: Request) -> Response:
    access = access_of(request)
    patient = _patient(request.path_params["patient"])
    await asyncio.to_thread(access.require, Target("audit_log", None, patient))
    await access.settled()
    report = await asyncio.to_thread(_report, request.app.state.audit_engine, patient or "")
    return JSONResponse(report.as_json())


def _lines(engine: Engine, wanted: Criteria, form: str) -> list[str]:
    lines: list[str] = []
    with snapshot(engine) as connection:
        for event in find_events(connection, wanted):
            if len(lines) == _MOST_EVENTS:
                raise _bad(
                    f"more than {_MOST_EVENTS} events are asked for; narrow it with since and "
                    "until, or use zhuzhen audit export"
                )
            lines.append(write_event(event, form))
    return lines


def _verified(engine: Engine, keyring: Keyring) -> Verification:
    own = Anchor(anchor_path()).read()
    with snapshot(engine) as connection:
        return verify(connection, trusted_keys(keyring), [own] if own else [])


def _report(engine: Engine, patient: str) -> DisclosureReport:
    with snapshot(engine) as connection:
        return DisclosureReport.of(patient, events_about(connection, patient))


def _patient(given: str | None) -> str | None:
    if given is not None and not PSEUDONYM.fullmatch(given):
        raise _bad("patient is a pseudonym of this service, p- and 26 characters")
    return given


def _moment(options: Mapping[str, str], name: str) -> datetime | None:
    given = options.get(name)
    if given is None:
        return None
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        raise _bad(f"{name} is a time of ISO 8601, such as 2026-11-25T08:00:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _bad(expected: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, f"An option of the request cannot be used: {expected}.")


@contextlib.asynccontextmanager
async def _open(app: Starlette) -> AsyncIterator[None]:
    with audit_engine() as engine:
        app.state.audit_engine = engine
        yield


def _export() -> Operation:
    text = {"type": "string"}
    operation = dict(described("Write events, one a line", refused=_REFUSED))
    return operation | {
        "parameters": [
            option("format", {"enum": list(FORMATS)}, "FHIR R4, DICOM PS3.15 A.5, or our own."),
            option("patient", text, "A pseudonym."),
            option("since", text, "At or after this time."),
            option("until", text, "Before this time."),
        ],
        "responses": {
            **operation["responses"],
            "200": {
                "description": "An event a line.",
                "content": {"application/x-ndjson": {"schema": text}},
            },
        },
    }


PART = Part(
    "auditing",
    routes=(
        Route("GET", "/v1/audit/events", Action.READ_AUDIT, _events, _export()),
        Route(
            "GET",
            "/v1/audit/verification",
            Action.READ_AUDIT,
            _verification,
            described("Verify the whole record", refused=_REFUSED),
        ),
        Route(
            "GET",
            "/v1/audit/disclosures/{patient}",
            Action.READ_AUDIT,
            _disclosures,
            described(
                "Report who saw or changed a patient's records",
                parameters=("patient",),
                refused=_REFUSED,
            ),
        ),
    ),
    open=_open,
)
