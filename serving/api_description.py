"""What the HTTP interface is, for machines: OpenAPI 3.1, put together from the parts' routes."""

import re
from functools import cache
from typing import Any

from serving.doors.describing import PROBLEM_SCHEMA
from serving.doors.parts import PARTS, ROUTES

_UNDESCRIBED = ("/", "/static_content/{file:path}")
"""Part of a page, not of the interface."""


@cache
def describe_api() -> dict[str, Any]:
    """Return the OpenAPI document."""
    schemas: dict[str, Any] = {"Problem": PROBLEM_SCHEMA}
    for part in PARTS:
        schemas.update(part.schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Zhuzhen",
            "version": "1",
            "description": "Pre-reads of medical images, calibrated and explained, or refused with "
            "a reason. Decision support for professionals; not a cleared medical device.",
        },
        "paths": _paths(),
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _paths() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for route in ROUTES:
        if route.path in _UNDESCRIBED:
            continue
        # Starlette's converters, as in {file:path}, are not OpenAPI's.
        path = re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path)
        names = re.findall(r"\{(\w+)\}", path)
        operation = dict(route.operation)
        if names:
            operation["parameters"] = [
                *(
                    {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                    for name in names
                ),
                *operation.get("parameters", ()),
            ]
        if route.action is not None:
            operation["security"] = [{"bearer": []}]
        paths.setdefault(path, {})[route.method.lower()] = operation
    return paths
