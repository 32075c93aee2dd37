"""WebSockets at the entrance: admitted like requests, refused by a problem document.

A handshake is a GET request (RFC 6455 section 4.1) and passes what such a request passes: the names
of the service, TLS, the page that it comes from, the credential, the policy, the audit record. What
browsers' pages cannot be kept from opening is decided by Origin, which browsers always send.
"""

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.types import Message, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from serving.problems import Problem

_LOG = logging.getLogger("zhuzhen.entrance")
Handler = Callable[[WebSocket], Awaitable[None]]
_SCHEMES = {"ws": "http", "wss": "https"}
_FAILED = 1011
_DENIAL = "websocket.http.response."


def as_request(scope: Scope) -> Scope:
    """Return the scope of a handshake as that of the GET request that it is.

    What is put into its `state` is in that of the handshake, too.
    """
    scope.setdefault("state", {})
    scheme = _SCHEMES.get(scope["scheme"], scope["scheme"])
    return {**scope, "type": "http", "method": "GET", "scheme": scheme}


class Opening:
    """Sends what a handler makes of a handshake: an open connection, or a response instead."""

    def __init__(self, send: Send, accepted: Callable[[], Awaitable[None]]) -> None:
        self._send = send
        self._accepted = accepted
        self.answer: Send = self.deny
        """What takes the messages of a response."""

    async def deny(self, message: Message) -> None:
        """Send a message of a response (ASGI's "WebSocket Denial Response")."""
        await self._send({**message, "type": f"websocket.{message['type']}"})

    async def __call__(self, message: Message) -> None:
        """Send a message of the handler; of an open connection only once that is recorded."""
        kind = message["type"]
        if kind.startswith(_DENIAL):
            await self.answer({**message, "type": kind.removeprefix("websocket.")})
            return
        if kind == "websocket.accept":
            await self._accepted()
        await self._send(message)


def endpoint_of(handler: Handler) -> Handler:
    """Return `handler` so that whatever fails in it is answered, and the service goes on."""

    async def endpoint(websocket: WebSocket) -> None:
        try:
            await handler(websocket)
        except (WebSocketDisconnect, TimeoutError):
            return
        except Problem as problem:
            await _refuse(websocket, problem)
        except Exception:  # noqa: BLE001 - the promise holds for what nobody foresaw, too
            _LOG.exception("a WebSocket failed")
            failed = "The service failed on this connection; its log says where. Open it again."
            await _refuse(websocket, Problem(HTTPStatus.INTERNAL_SERVER_ERROR, failed))

    return endpoint


async def _refuse(websocket: WebSocket, problem: Problem) -> None:
    try:
        if websocket.application_state is WebSocketState.CONNECTING:
            await websocket.send_denial_response(problem.response(websocket.url.path))
        elif websocket.application_state is WebSocketState.CONNECTED:
            await websocket.close(_FAILED)
    except (WebSocketDisconnect, RuntimeError):
        return
