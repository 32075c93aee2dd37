"""What the service tells of itself: that it lives, its metrics, its description."""

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from serving.doors.describing import plain
from serving.doors.route import Part, Route
from serving.metrics import MEDIA_TYPE, exposition
from serving.policy import Action

_DOCS_PAGE = """<!DOCTYPE html>
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


async def _docs(_: Request) -> Response:
    return HTMLResponse(_DOCS_PAGE)


async def _start(_: Request) -> Response:
    return RedirectResponse("/docs")


async def _openapi(_: Request) -> Response:
    # The description is of all parts, this one included.
    from serving.api_description import describe_api

    return JSONResponse(describe_api())


async def _metrics(_: Request) -> Response:
    return Response(exposition(), media_type=MEDIA_TYPE)


PART = Part(
    "pages",
    routes=(
        Route("GET", "/", Action.DISCOVER, _start, plain("The start page.", "text/html")),
        Route(
            "GET", "/docs", Action.DISCOVER, _docs, plain("This document, for people.", "text/html")
        ),
        Route(
            "GET",
            "/openapi.json",
            Action.DISCOVER,
            _openapi,
            plain("This document.", "application/json"),
        ),
        Route(
            "GET",
            "/static_content/{file:path}",
            Action.DISCOVER,
            None,
            plain("What the pages are made with.", "application/octet-stream"),
        ),
        Route("GET", "/livez", None, None, plain("The process lives."), logged=False),
        Route("GET", "/readyz", None, None, plain("The models are loaded."), logged=False),
        Route(
            "GET",
            "/metrics",
            Action.READ_METRICS,
            _metrics,
            plain("Metrics in Prometheus's text format."),
            logged=False,
        ),
    ),
)
