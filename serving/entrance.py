"""What every HTTP request passes first: known routes alone, one shape for everything that fails."""

import logging
import time
from http import HTTPStatus

from sqlalchemy.exc import OperationalError
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import tracing
from serving.access import POST, Access, GuardPost
from serving.audit import Outcome
from serving.cross_origin import CrossOrigin, Headers, headers_for, preflight
from serving.doors.route import Route
from serving.doors.table import Found, RouteTable
from serving.faults import place_of
from serving.metrics import count_request
from serving.names import Names, require_protected
from serving.problems import MEDIA_TYPE, Problem, database_away
from serving.slow_bodies import GOES_ON
from serving.sockets import Opening, as_request
from serving.tracing import Stage

_LOG = logging.getLogger("zhuzhen.entrance")
_ACCESS = logging.getLogger("zhuzhen.access")

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_LEFT = 499
"""What proxies write where the sender left before there was an answer."""


class Entrance:
    """ASGI middleware around the whole service.

    Refuses what is not a known path, method and name of the service before it reaches any other
    code or the labels of a metric, and turns every failure, wherever it came from, into a problem
    document.
    """

    def __init__(
        self,
        app: ASGIApp,
        table: RouteTable,
        post: GuardPost = POST,
        names: Names | None = None,
        others: CrossOrigin | None = None,
    ) -> None:
        self._app = app
        self._table = table
        self._names = names or Names()
        self._others = others or CrossOrigin()
        self._post = post

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self._open(scope, receive, send)
            return
        started = time.perf_counter()
        answer = _Answer(send, scope["path"])
        label, logged = "other", True
        with tracing.serving(scope["headers"]) as span:
            try:
                found = self._table.find(scope["method"], scope["path"])
                if found is not None:
                    label, logged = found.path, found.logged
                await self._serve(scope, receive, answer, found)
            finally:
                tracing.name_request(span, _method(scope), label, answer.status)
                _record(scope, label, logged, answer.status, time.perf_counter() - started)

    async def _open(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Admit a handshake as the GET request that it is, and hand the connection on."""
        started = time.perf_counter()
        request = as_request(scope)
        found = self._table.find("GET", scope["path"])
        label = found.path if found else "other"

        async def accepted() -> None:
            await answer.accept()
            _record(request, label, True, answer.status, time.perf_counter() - started)

        opening = Opening(send, accepted)
        answer = _Answer(opening.deny, scope["path"])
        opening.answer = answer
        try:
            with tracing.serving(scope["headers"]) as span:
                try:
                    self._names.admit_host(request)
                    self._names.admit_page(request)
                    if _route_of(found).socket is None:
                        raise _not_found()
                    await self._admit(request, answer, found)
                finally:
                    tracing.name_request(span, "GET", label, answer.status)
            await self._app(scope, receive, opening)
        except Problem as problem:
            await answer.fail(problem, request, receive)
        except OperationalError as error:
            _LOG.error("The database cannot be used: %s", place_of(error))
            await answer.fail(database_away(), request, receive)
        finally:
            if answer.status != HTTPStatus.SWITCHING_PROTOCOLS:
                _record(request, label, True, answer.status, time.perf_counter() - started)

    async def _admit(self, scope: Scope, answer: "_Answer", found: Found | None) -> None:
        """Go on only with who may ever do what the route does.

        Raises:
            Problem: what is answered instead.
        """
        route = _route_of(found)
        if not route.is_health:
            require_protected(scope)
        if route.action is not None:
            with tracing.span(Stage.ADMISSION):
                guard = self._post.guard()
                answer.access = await guard.identify(scope, route.name, route.action)
                answer.access.admit()

    async def _serve(
        self, scope: Scope, receive: Receive, answer: "_Answer", found: Found | None
    ) -> None:
        try:
            self._names.admit_host(scope)
            page = self._others.page_of(scope)
            if page is None:
                self._names.admit_page(scope)
            else:
                answer.headers = headers_for(page)
                require_protected(scope)
                asked = preflight(scope)
                if asked is not None:
                    await asked(scope, receive, answer)
                    return
            await self._admit(scope, answer, found)
            await self._app(scope, receive, answer)
        except ClientDisconnect:
            answer.leave()
        except Problem as problem:
            await answer.fail(problem, scope, receive)
        except OperationalError as error:
            _LOG.error("The database cannot be used: %s", place_of(error))
            await answer.fail(database_away(), scope, receive)
        except Exception:  # noqa: BLE001 - the promise holds for what nobody foresaw, too
            # The service goes on, the sender learns nothing of the inside; the log has the trace,
            # which holds code and no input.
            # It names the route: a path is the sender's words.
            _LOG.exception("%s %s failed", _method(scope), found.path if found else "other")
            await answer.fail(_internal_error(), scope, receive)


class _Answer:
    """Sends a response, or in place of a failed one that is not a problem document, a problem."""

    def __init__(self, send: Send, path: str) -> None:
        self._send = send
        self._path = path
        self.access: Access | None = None
        """Of whom is answered, once that is known; what it recorded is on disk before that."""
        self.headers: Headers = ()
        """Beside those of every answer."""
        self.status = _LEFT
        """Of the answer, as it is counted."""
        self._started = False
        self._replaced: Problem | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._replaced = await self._settle(message["status"]) or _replacement(message)
            if self._replaced is None:
                self._started = True
                self.status = message["status"]
                message["headers"] = [*message.get("headers", []), *_SAFE_HEADERS, *self.headers]
                await self._send(message)
        elif message["type"] == GOES_ON:
            return
        elif self._replaced is None:
            await self._send(message)
        elif not message.get("more_body", False):
            problem, self._replaced = self._replaced, None
            await problem.response(self._path)({"type": "http"}, _nothing, self)

    async def _settle(self, status: int) -> Problem | None:
        """Have what happened on disk before it is answered.

        Returns what is answered instead where it could not be recorded. It is not raised: whoever
        sends the answer is code of others, which knows errors before an answer and none in it.
        """
        access, self.access = self.access, None
        if access is None:
            return None
        try:
            if status >= 400 and status != HTTPStatus.FORBIDDEN:
                access.note_result(Outcome.FAILED, f"status-{status}")
            await access.settled()
        except Problem as problem:
            return problem
        return None

    async def accept(self) -> None:
        """Note that a WebSocket is opened, which is on record before its sender knows.

        Raises:
            Problem: 503, it could not be recorded.
        """
        await self._settle(HTTPStatus.SWITCHING_PROTOCOLS)
        self._started = True
        self.status = HTTPStatus.SWITCHING_PROTOCOLS

    def leave(self) -> None:
        """Note that the sender left: an error that was answered for that is not the service's."""
        self.status = _LEFT

    async def fail(self, problem: Problem, scope: Scope, receive: Receive) -> None:
        """Answer `problem`, unless a response is already on its way."""
        if not self._started:
            await problem.response(self._path)(scope, receive, self)


_OWN_ERRORS = (MEDIA_TYPE.encode(), b"application/dicom+json", b"application/fhir+json")
"""Types of errors that say themselves what is wrong: STOW-RS lists each instance (PS3.18, 10.5),
and FHIR has its own."""
_SAFE_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def _route_of(found: Found | None) -> Route:
    """Return the route that was asked for.

    Raises:
        Problem: 404 or 405.
    """
    if found is None:
        raise _not_found()
    if found.route is None:
        raise Problem(
            HTTPStatus.METHOD_NOT_ALLOWED,
            f"This path takes {', '.join(found.methods)} alone.",
            {"Allow": ", ".join(found.methods)},
        )
    return found.route


def _record(scope: Scope, route: str, logged: bool, status: int, seconds: float) -> None:
    """Count and log a request by the service's own name for its route: paths, queries and headers
    are the sender's words, which may name a patient.
    """
    count_request(route, status, seconds)
    if logged:
        _ACCESS.info("%s %s %d %.1f ms", _method(scope), route, status, seconds * 1e3)


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _METHODS else "other"


def _replacement(start: Message) -> Problem | None:
    """Return the problem to send instead of a response that begins with `start`, if any."""
    media_type = dict(start.get("headers", ())).get(b"content-type", b"")
    if start["status"] < 400 or media_type.startswith(_OWN_ERRORS):
        return None
    status = HTTPStatus(start["status"])
    if status is HTTPStatus.NOT_FOUND:
        return _not_found()
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        return Problem(status, "The service is not ready yet; ask again in a moment.")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _internal_error(status)
    return Problem(status, f"{status.phrase}; /docs says what is expected.")


def _not_found() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "There is nothing at this path; /docs has the list.")


def _internal_error(status: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR) -> Problem:
    return Problem(
        status,
        "The service failed on this request; its log says where. Other requests are served.",
    )
