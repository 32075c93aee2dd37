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
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
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
        hosts = [
            _without_port(value.decode("latin-1").lower()) for _, value in _named(scope, b"host")
        ]
        if len(hosts) != 1 or hosts[0] not in (*LOCAL_HOSTS, *self.others):
            raise Problem(
                HTTPStatus.MISDIRECTED_REQUEST,
                "The Host is not a name of this service; expected one of "
                f"{', '.join((*LOCAL_HOSTS, *self.others))}. An administrator can add names with "
                f"{ENVIRONMENT}.",
            )

    def admit_page(self, scope: Scope) -> None:
        """Refuse a request from a page of another origin: scheme, host and port are the request's
        own (RFC 6454, section 5), as `admit_host` let it in.

        Raises:
            Problem: 403.
        """
        given = [value.decode("latin-1").lower() for name, value in _named(scope, b"origin")]
        if not given:
            return
        own = self._own(scope)
        if own is None or any(_without_default_port(origin) != own for origin in given):
            expected = f"{own}, or no Origin header" if own else "no Origin header"
            raise Problem(
                HTTPStatus.FORBIDDEN,
                f"The request comes from a web page of another origin; expected {expected}. Send "
                "it from a program, or from a page of this service.",
            )

    def _own(self, scope: Scope) -> str | None:
        """Return the origin that the request was sent to; None where no page can be: a name of this
        service, without TLS.
        """
        scheme = str(scope.get("scheme", "http"))
        ((_, host),) = _named(scope, b"host")
        own = _without_default_port(f"{scheme}://{host.decode('latin-1').lower()}")
        is_local = _without_port(own.partition("://")[2]) in LOCAL_HOSTS
        return own if is_local or scheme == "https" else None


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


def _named(scope: Scope, header: bytes) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in scope["headers"] if name == header]


def _without_default_port(origin: str) -> str:
    """Return an origin as browsers write it, who leave the scheme's own port out."""
    scheme = origin.partition("://")[0]
    return origin.removesuffix(_DEFAULT_PORTS.get(scheme, ""))


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isascii() and port.isdecimal() else host
