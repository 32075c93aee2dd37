"""Web pages of other origins that may call the interfaces made for other systems.

Cross-Origin Resource Sharing as the Fetch standard has it (https://fetch.spec.whatwg.org/#http-cors-protocol),
for record systems that run in a browser (CDS Hooks 2.0, "Cross-Origin Resource Sharing").
`ZHUZHEN_CORS_ORIGINS` lists the origins, with commas between them; by default there is none. Such a
page shows who it is by a token like any program: cookies are never asked for, so a page that is
listed can do nothing in the name of whoever looks at it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from starlette.responses import Response
from starlette.types import Scope

from models.errors import ZhuzhenError

ENVIRONMENT = "ZHUZHEN_CORS_ORIGINS"
_PATHS = ("/cds-services", "/fhir")
_ORIGIN = re.compile(
    r"https://[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?(?::\d{1,5})?"
    r"|http://(?:localhost|127\.0\.0\.1)(?::\d{1,5})?"
)
_KEPT_S = 600
"""For how long a browser need not ask again."""

Headers = tuple[tuple[bytes, bytes], ...]


class OriginError(ZhuzhenError, ValueError):
    """What is listed as a page's origin is none."""


@dataclass(frozen=True, slots=True)
class CrossOrigin:
    """The origins of others' pages."""

    origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for origin in self.origins:
            if not _ORIGIN.fullmatch(origin):
                raise OriginError(
                    f"{ENVIRONMENT} holds {origin!r}; expected origins such as "
                    "https://ehr.hospital.example, in lower case, without a path, with commas "
                    "between them. Wildcards are not taken."
                )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "CrossOrigin":
        """Read the origins.

        Raises:
            OriginError: one is none.
        """
        written = environment.get(ENVIRONMENT, "")
        return cls(tuple(origin.strip() for origin in written.split(",") if origin.strip()))

    def page_of(self, scope: Scope) -> str | None:
        """Return the origin of the page of others that sent a request, None for all but those
        that are listed and ask for what is open to them.
        """
        if not self.origins or not _is_open(scope["path"]):
            return None
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
        return given[0] if len(given) == 1 and given[0] in self.origins else None


def headers_for(page: str) -> Headers:
    """Return what lets the browser show an answer, or an error, to `page`."""
    return (
        (b"access-control-allow-origin", page.encode()),
        (b"access-control-expose-headers", b"WWW-Authenticate, Retry-After"),
        (b"vary", b"Origin"),
    )


def preflight(scope: Scope) -> Response | None:
    """Return the answer to a browser's question whether a page may ask; None for other requests.

    It is the same for every path: what there is, only those learn who show who they are.
    """
    asked = any(name == b"access-control-request-method" for name, _ in scope["headers"])
    if scope["method"] != "OPTIONS" or not asked:
        return None
    return Response(
        status_code=HTTPStatus.NO_CONTENT,
        headers={
            "Access-Control-Allow-Methods": "GET, POST",
            "Access-Control-Allow-Headers": "Accept, Accept-Language, Authorization, Content-Type",
            "Access-Control-Max-Age": str(_KEPT_S),
        },
    )


def _is_open(path: str) -> bool:
    return any(path == start or path.startswith(f"{start}/") for start in _PATHS)
