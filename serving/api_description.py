"""What the HTTP interface is, for machines (OpenAPI 3.1) and for people (`/docs`)."""

import json
from functools import cache
from importlib import resources
from typing import Any

from serving.problems import MEDIA_TYPE
from serving.uploads import IMAGE_TYPES, MULTIPART

ANSWER_SCHEMA: dict[str, Any] = json.loads(
    resources.files("serving").joinpath("answer.schema.json").read_text("utf-8")
)
"""JSON Schema 2020-12 of one answer."""

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

_REFUSALS = {
    "400": "The body is empty or not valid multipart, or an option of the query is not known.",
    "403": "The request comes from another machine, or from a web page of another origin.",
    "404": "There is no such model.",
    "408": "The body did not arrive in time, or stopped arriving.",
    "413": "The body is over the limit on bytes.",
    "415": "The body has a type or encoding that is not accepted.",
    "421": "The Host is not a local name of this machine.",
    "503": "The model cannot be loaded.",
}

DOCS_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Zhuzhen 助诊: HTTP interface</title>
<link rel="stylesheet" href="/static_content/swagger-ui.css">
</head>
<body>
<div id="description"></div>
<script src="/static_content/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({url: "/openapi.json", dom_id: "#description", deepLinking: true});</script>
</body>
</html>
"""
"""Everything on the page comes from this service; hospitals' machines reach no other."""


@cache
def describe_api() -> dict[str, Any]:
    """Return the OpenAPI document."""
    schema = {key: value for key, value in ANSWER_SCHEMA.items() if key not in ("$schema", "$defs")}
    schemas = {"Answer": schema, "Problem": PROBLEM_SCHEMA, **ANSWER_SCHEMA["$defs"]}
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Zhuzhen",
            "version": "1",
            "description": "Pre-reads of medical images, calibrated and explained, or refused with "
            "a reason. Decision support for professionals; not a cleared medical device.",
        },
        "paths": {
            "/v1/recognize": {"post": _recognize()},
            "/livez": {"get": _plain("The process lives.")},
            "/readyz": {"get": _plain("The model is loaded.")},
            "/metrics": {"get": _plain("Metrics in Prometheus's text format.")},
            "/openapi.json": {"get": _plain("This document.", "application/json")},
            "/docs": {"get": _plain("This document, for people.", "text/html")},
        },
        "components": {"schemas": json.loads(json.dumps(schemas).replace("#/$defs/", _COMPONENTS))},
    }
    return described


_COMPONENTS = "#/components/schemas/"


def _recognize() -> dict[str, Any]:
    image = {"schema": {"type": "string", "format": "binary"}}
    files = {
        "schema": {
            "type": "object",
            "additionalProperties": {"type": "string", "format": "binary"},
            "minProperties": 1,
        }
    }
    answer = {"$ref": f"{_COMPONENTS}Answer"}
    several = {
        "type": "object",
        "required": ["results"],
        "properties": {"results": {"type": "array", "items": answer}},
    }
    return {
        "operationId": "recognize",
        "summary": "Read one radiograph, or several",
        "description": "Takes a DICOM, PNG or JPEG image as the body, or several as the files of "
        "multipart/form-data. An image that cannot be read or must not be judged is an answer, "
        "too: its verdict says so.",
        "parameters": [
            _option("model", {"type": "string"}, "`name` or `name@version`."),
            _option("overlay", {"type": "boolean", "default": False}, "Send a picture as well."),
        ],
        "requestBody": {
            "required": True,
            "content": {**dict.fromkeys(IMAGE_TYPES, image), MULTIPART: files},
        },
        "responses": {
            "200": {
                "description": "An answer; for multipart, all answers in the order of the files.",
                "content": {"application/json": {"schema": {"oneOf": [answer, several]}}},
            },
            **{status: _refusal(reason) for status, reason in _REFUSALS.items()},
        },
    }


def _option(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _refusal(reason: str) -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": {"$ref": f"{_COMPONENTS}Problem"}}}
    return {"description": reason, "content": content}


def _plain(summary: str, media_type: str = "text/plain") -> dict[str, Any]:
    content = {media_type: {"schema": {"type": "string" if "json" not in media_type else "object"}}}
    return {"summary": summary, "responses": {"200": {"description": "Yes.", "content": content}}}
