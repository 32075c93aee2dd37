"""What a part of the service opens to others: HTTP routes, DICOM services, jobs.

A route is declared once, with everything that anybody needs of it: the entrance admits by its path,
method and action, the router calls its handler, metrics and logs name it by its path template, and
the OpenAPI document describes it.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from serving.policy import Action

Handler = Callable[[Request], Awaitable[Response]]
SocketHandler = Callable[[WebSocket], Awaitable[None]]
Operation = Mapping[str, Any]
"""An Operation Object of OpenAPI 3.1."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path."""

    method: str
    """GET also answers HEAD."""
    path: str
    """With parameters in braces, as Starlette has them: `/v1/users/{user}`."""
    action: Action | None
    """What the policy is asked; None only for what tells nobody anything: whether it lives."""
    handler: Handler | None
    """None where the server itself answers."""
    operation: Operation
    logged: bool = True
    """False for what machines ask every few seconds."""
    socket: SocketHandler | None = None
    """What serves a WebSocket at this path, where there is one."""

    @property
    def is_health(self) -> bool:
        """Whether it tells that the service lives, which an orchestrator asks without TLS."""
        return self.action is None and self.handler is None

    @property
    def name(self) -> str:
        """What the audit record calls it: `POST:/v1/users/:user`."""
        path = re.sub(r"\{(\w+)(?::\w+)?\}", r":\1", self.path)
        # FHIR's operations begin with a character that the audit record's words do not have.
        return f"{self.method}:{path.replace('$', '')}"


@dataclass(frozen=True, slots=True)
class DicomService:
    """A DICOM service that the service provides, such as C-STORE."""

    name: str
    action: Action


@dataclass(frozen=True, slots=True)
class Job:
    """Work that the service does by itself, as an actor with the role of a system."""

    name: str
    action: Action


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the service with its doors."""

    name: str
    routes: tuple[Route, ...] = ()
    dicom_services: tuple[DicomService, ...] = ()
    jobs: tuple[Job, ...] = ()
    schemas: Mapping[str, Any] = field(default_factory=dict)
    """Components that its operations refer to."""
    open: Callable[[Starlette], AbstractAsyncContextManager[None]] | None = None
    """Opened before the first request and closed after the last; keeps what it needs in the
    application's state."""
