"""A record system that signs its own calls, as the public sandbox of CDS Hooks does.

Header and claims are those of its `src/retrieve-data-helpers/jwt-generator.js`
(https://github.com/cds-hooks/sandbox, commit 0589d42), with keys of our own.
"""

import contextlib
import json
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

ISSUER = "https://sandbox.cds-hooks.org"


def new_keys() -> dict[str, ECKey | RSAKey]:
    """A key pair for each algorithm that the standard recommends, and the sandbox's."""
    return {
        "ES256": ECKey.generate_key("P-256", {"kid": "es256"}),
        "ES384": ECKey.generate_key("P-384", {"kid": "es384"}),
        "RS384": RSAKey.generate_key(2048, {"kid": "rs384"}),
    }


@dataclass
class RecordSystem:
    """Signs calls, and publishes its keys."""

    jku: str
    keys: dict[str, ECKey | RSAKey]
    asked_for_keys: list[str] = field(default_factory=list)

    @property
    def published(self) -> dict[str, Any]:
        """The JWK set."""
        return {"keys": [key.as_dict(private=False) for key in self.keys.values()]}

    def token(
        self, audience: object, algorithm: str = "ES384", *, header: Any = (), **changes: Any
    ) -> str:
        """A token for the URL `audience`; what is given as None is left out."""
        now = round(time.time())
        claims = {
            "iss": ISSUER,
            "sub": "b25c6e9b-5cbb-4b9d-a0a8-4e9d1c9f1b64",
            "aud": audience,
            "exp": now + 300,
            "iat": now,
            "jti": str(uuid.uuid4()),
        } | changes
        key = self.keys[algorithm]
        head = {"alg": algorithm, "typ": "JWT", "kid": key.kid, "jku": self.jku} | dict(header)
        return jwt.encode(_kept(head), _kept(claims), key, [algorithm])


def _kept(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


@contextlib.contextmanager
def running_record_system() -> Iterator[RecordSystem]:
    """Publish keys on a free port of this machine."""
    system = RecordSystem("", new_keys())

    class Publisher(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            system.asked_for_keys.append(self.path)
            content = json.dumps(system.published).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Publisher)
    system.jku = f"http://127.0.0.1:{server.server_port}/.well-known/jwks.json"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield system
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
