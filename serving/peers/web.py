"""A DICOMweb server, and requests to it (PS3.18)."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httpx

from serving.peers.errors import PeerError

_PASSING = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
        HTTPStatus.INSUFFICIENT_STORAGE,
    }
)
"""Answers that a later try may not get."""
_KNOWN = {status.value for status in HTTPStatus}


@dataclass(frozen=True)
class WebServer:
    """A DICOMweb server and how to be let in."""

    url: str
    """Base of the service, e.g. `https://pacs.example/dicom-web`."""
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    """Sent with every request, such as Authorization."""
    tls: ssl.SSLContext | None = None
    """None: the system's own authorities."""
    timeout_s: float = 30.0

    def __str__(self) -> str:
        return self.url

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """Give a client whose paths lie under the base; connections are kept as long as it lasts.

        Raises:
            PeerError: within the block, where the server is not reached or the connection breaks.
        """
        verify: Any = True if self.tls is None else self.tls
        try:
            with httpx.Client(
                base_url=self.url, headers=self.headers, timeout=self.timeout_s, verify=verify
            ) as client:
                yield client
        except httpx.HTTPError as error:
            raise PeerError(
                f"{self} cannot be reached ({type(error).__name__}). Check the address, its "
                "certificate and that it runs.",
                can_heal=True,
            ) from None

    def failure(self, answer: httpx.Response) -> PeerError:
        """Return what an answer that is no success means."""
        status = HTTPStatus(answer.status_code) if answer.status_code in _KNOWN else None
        told = f"{answer.status_code} {status.phrase}" if status else str(answer.status_code)
        return PeerError(f"{self} answered {told}.", can_heal=answer.status_code in _PASSING)
