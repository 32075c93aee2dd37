"""Where subscribers of the worklist listen: a WebSocket on which only the service speaks.

Open Notification Connection and Send Event Report of PS3.18, sections 8.10.4 and 8.10.5.
"""

import asyncio
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from serving.access import Access, access_of
from serving.audit import Outcome
from serving.dicomweb.subscribing import subscriber_of
from serving.problems import Problem
from serving.sockets import as_request
from serving.worklist.channels import Channels, Ended

_GOODBYE_S = 5.0


async def refuse_plain(request: Request) -> Response:
    """`GET /ws/subscribers/{subscriber}` without an upgrade: 426 (RFC 9110 section 15.5.22)."""
    subscriber_of(request)
    raise Problem(
        HTTPStatus.UPGRADE_REQUIRED,
        "Reports are sent on a WebSocket: ask for one with Upgrade: websocket (RFC 6455).",
        {"Upgrade": "websocket"},
    )


async def listen(websocket: WebSocket) -> None:
    """`GET /ws/subscribers/{subscriber}`: send what waits for a subscriber until it leaves."""
    subscriber = subscriber_of(websocket)
    access = access_of(websocket)
    target = access.own("task")
    access.require(target)
    channels: Channels = websocket.app.state.channels
    with channels.place((str(access.actor.institution), subscriber)) as channel:
        await websocket.accept()

        ended = await channels.serve(websocket, channel, lambda: _may_stay(websocket, access))
    if ended is not Ended.LEFT:
        outcome = Outcome.DENIED if ended is Ended.REFUSED else Outcome.FAILED
        access.note_result(outcome, ended.reason, target)
        await access.settled()
        async with asyncio.timeout(_GOODBYE_S):
            # Waits as long as the peer does not read.
            await websocket.close(ended.code)


async def _may_stay(websocket: WebSocket, access: Access) -> bool:
    """Whether the credential that a connection was opened with still opens one."""
    asked = as_request({**websocket.scope, "state": {}})
    try:
        now = await access.guard.identify(asked, access.operation, access.action)
        now.admit()
    except Problem:
        return False
    return now.actor.institution == access.actor.institution
