"""A subscriber of the worklist on a real WebSocket."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from serving.attached import AttachedService

GLOBAL = "1.2.840.10008.5.1.4.34.5"
STATE = "00741000"
Attributes = dict[str, Any]


@contextmanager
def listening(
    service: AttachedService, title: str, key: str | None = None
) -> Iterator[ClientConnection]:
    address = service.url.replace("http://", "ws://") + f"/ws/subscribers/{title}"
    headers = {"Authorization": f"Bearer {key or service.key}"}
    with connect(address, additional_headers=headers, proxy=None) as connection:
        yield connection


def heard(connection: ClientConnection, count: int, seconds: float = 20) -> list[Attributes]:
    """The next messages, and that no other follows at once."""
    found = [json.loads(connection.recv(seconds)) for _ in range(count)]
    with pytest.raises(TimeoutError):
        connection.recv(0.6)
    return found


def told(message: Attributes) -> tuple[int, str]:
    """What a report says in short: its type, and the state of what it is about."""
    return (value(message, "00001002"), value(message, STATE) if STATE in message else "")


def value(attributes: Attributes, key: str) -> Any:
    return attributes[key]["Value"][0]


def subscribe(http: httpx.Client, uid: str, title: str, **query: str) -> httpx.Response:
    answer = http.post(f"/dicom-web/workitems/{uid}/subscribers/{title}", params=query)
    answer.raise_for_status()
    return answer
