"""Pieces that operations are described with (OpenAPI 3.1)."""

from collections.abc import Mapping, Sequence
from typing import Any

from serving.doors.route import Operation
from serving.json_body import MEDIA_TYPE as JSON_TYPE
from serving.json_body import JsonBody
from serving.problems import MEDIA_TYPE

COMPONENTS = "#/components/schemas/"

PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457 problem document; every error of every route is one. Bytes that are "
    "not HTTP reach no route: the server refuses them in plain text.",
    "type": "object",
    "additionalProperties": False,
    "required": ["type", "title", "title_zh", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "title_zh": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
    },
}


def reference(name: str) -> dict[str, str]:
    """Return a reference to the component schema `name`."""
    return {"$ref": f"{COMPONENTS}{name}"}


def option(name: str, schema: Mapping[str, Any], description: str) -> dict[str, Any]:
    """Describe an option in the query."""
    return {"name": name, "in": "query", "schema": schema, "description": description}


def refusals(reasons: Mapping[str, str]) -> dict[str, Any]:
    """Describe the problem documents that are answered, by status."""
    content = {MEDIA_TYPE: {"schema": reference("Problem")}}
    return {
        status: {"description": reason, "content": content} for status, reason in reasons.items()
    }


def plain(summary: str, media_type: str = "text/plain") -> Operation:
    """Describe an operation that takes nothing and answers with a text."""
    content = {media_type: {"schema": {"type": "string" if "json" not in media_type else "object"}}}
    return {"summary": summary, "responses": {"200": {"description": "Yes.", "content": content}}}


def described(
    summary: str,
    *,
    body: JsonBody | None = None,
    status: str = "200",
    parameters: Sequence[str] = (),
    refused: Mapping[str, Any] | None = None,
) -> Operation:
    """Describe an operation that takes and answers JSON.

    Args:
        summary: what it does.
        body: what it takes.
        status: of the answer where all went well; 204 has no content.
        parameters: names of those in the path.
        refused: as `refusals` describes them.
    """
    content = {} if status == "204" else {JSON_TYPE: {"schema": {"type": "object"}}}
    answer = {"description": "Done.", **({"content": content} if content else {})}
    operation: dict[str, Any] = {
        "summary": summary,
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in parameters
        ],
        "responses": {status: answer, **(refused or {})},
    }
    if body is not None:
        operation["requestBody"] = body.described()
    return operation
