"""Under which names the service answers, and whose web pages may call it.

`ZHUZHEN_HOSTS` lists the host names, with commas between them; this machine's own are always among
them. A web page of another site may have a name of its own resolve to this machine, or have a
browser send what it likes: the Host and Origin headers tell (RFC 9110, 7.2; RFC 6454, section 7).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from starlette.types import Scope

from models.errors import ZhuzhenError
from serving.problems import Problem

ENVIRONMENT = "ZHUZHEN_HOSTS"
LOCAL_HOSTS = ("127.0.0.1", "localhost")
_LOCAL_ADDRESSES = ("127.0.0.1", "::1")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")


class HostNameError(ZhuzhenError, ValueError):
    """A name that the service should answer under is not a host name."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names of this service."""

    others: tuple[str, ...] = ()
    """Beside those of this machine alone."""

    def __post_init__(self) -> None:
        for name in self.others:
            if not _HOST.fullmatch(name):
                raise HostNameError(
                    f"{ENVIRONMENT} holds {name!r}; expected host names in lower case, without a "
                    "scheme or port, with commas between them."
                )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Names":
        """Read the names.

        Raises:
            HostNameError: one is none.
        """
        written = environment.get(ENVIRONMENT, "")
        return cls(tuple(name.strip() for name in written.split(",") if name.strip()))

    def admit_host(self, scope: Scope) -> None:
        """Refuse a request under another name.

        Raises:
            Problem: 421.
        """
        given = [value for name, value in scope["headers"] if name == b"host"]
        hosts = [_without_port(value.decode("latin-1").lower()) for value in given]
        if len(hosts) != 1 or hosts[0] not in (*LOCAL_HOSTS, *self.others):
            raise Problem(
                HTTPStatus.MISDIRECTED_REQUEST,
                "The Host is not a name of this service; expected one of "
                f"{', '.join((*LOCAL_HOSTS, *self.others))}. An administrator can add names with "
                f"{ENVIRONMENT}.",
            )

    def admit_page(self, scope: Scope) -> None:
        """Refuse a request from a page of another site.

        Raises:
            Problem: 403.
        """
        given = [value for name, value in scope["headers"] if name == b"origin"]
        if not all(self._is_own(value.decode("latin-1").lower(), scope) for value in given):
            allowed = [f"{scope.get('scheme')}://{host}" for host in LOCAL_HOSTS]
            allowed += [f"https://{host}" for host in self.others]
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "The request comes from a web page of another origin; expected one of "
                f"{', '.join(allowed)}, or no Origin header. Send it from a program, or from a "
                "page of this service.",
            )

    def _is_own(self, origin: str, scope: Scope) -> bool:
        scheme, _, host = origin.partition("://")
        name = _without_port(host)
        if name in LOCAL_HOSTS:
            return scheme == str(scope.get("scheme", "http"))
        return scheme == "https" and name in self.others


def require_protected(scope: Scope) -> None:
    """Refuse what came from another machine without TLS.

    Raises:
        Problem: 403.
    """
    sender = scope.get("client")
    is_local = sender is None or sender[0] in _LOCAL_ADDRESSES
    if not is_local and scope.get("scheme") != "https":
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "The request comes from another machine without TLS; its credential and its patient "
            "could be read on the way. Use the https address of the service.",
        )


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isascii() and port.isdecimal() else host
