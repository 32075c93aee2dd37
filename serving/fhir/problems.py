"""Problems as FHIR tells them: an OperationOutcome under `/fhir`, whatever failed.

https://hl7.org/fhir/R4/operationoutcome.html; codes of https://hl7.org/fhir/R4/valueset-issue-type.html.
"""

import json
from collections.abc import Mapping

from starlette.responses import Response

MEDIA_TYPE = "application/fhir+json"
FHIR_PATHS = "/fhir/"

_CODES: Mapping[int, str] = {
    400: "invalid",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    408: "timeout",
    413: "too-long",
    415: "not-supported",
    421: "security",
    429: "throttled",
    503: "transient",
}


def outcome_response(
    status: int, detail: str, title_zh: str, headers: Mapping[str, str]
) -> Response:
    """Return the OperationOutcome of a request that cannot be served."""
    document = {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "error",
                "code": _CODES.get(status, "exception"),
                "details": {"text": f"{title_zh} / {detail}"},
                "diagnostics": detail,
            }
        ],
    }
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return Response(body, status_code=status, headers=dict(headers), media_type=MEDIA_TYPE)
