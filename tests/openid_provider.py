"""A real OpenID Connect provider for tests, built on Authlib: discovery, keys, two grants.

Programs get tokens by client credentials, people by an authorization code: the page where somebody
would log in is a parameter that says who did.
"""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, grants
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from flask import Flask, Response, jsonify, request
from joserfc.jwk import KeySet, RSAKey
from werkzeug.serving import make_server

AUDIENCE = "https://zhuzhen.example"
PERSON = {"zhuzhen_roles": ["specialist"], "zhuzhen_institution": "county"}
PROGRAM = {"zhuzhen_roles": ["system"], "zhuzhen_institution": "county"}


class Client(ClientMixin):  # type: ignore[misc]  # Authlib has no types
    def __init__(self, name: str, secret: str, grant: str, claims: dict[str, Any]) -> None:
        self.name, self.secret, self.grant, self.claims = name, secret, grant, claims

    def get_client_id(self) -> str:
        return self.name

    def get_default_redirect_uri(self) -> str:
        return "https://ehr.example/callback"

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri == self.get_default_redirect_uri()

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == self.secret

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == self.grant


CLIENTS = {
    "ris": Client("ris", "ris-secret", "client_credentials", PROGRAM),
    "ehr": Client("ehr", "ehr-secret", "authorization_code", PERSON),
}


@dataclass
class User:
    subject: str

    def get_user_id(self) -> str:
        return self.subject


@dataclass
class Code:
    client: str
    redirect_uri: str
    scope: str
    user: User

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope


class _CodeGrant(grants.AuthorizationCodeGrant):  # type: ignore[misc]  # as above
    CODES: dict[str, Code] = {}  # noqa: RUF012

    def save_authorization_code(self, code: str, request: Any) -> None:
        payload = request.payload
        self.CODES[code] = Code(
            request.client.name, payload.redirect_uri, payload.scope, request.user
        )

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        found = self.CODES.get(code)
        return found if found is not None and found.client == client.name else None

    def delete_authorization_code(self, authorization_code: Code) -> None:
        for code in [code for code, kept in self.CODES.items() if kept is authorization_code]:
            del self.CODES[code]

    def authenticate_user(self, authorization_code: Code) -> User:
        return authorization_code.user


@dataclass
class Provider:
    """The running provider."""

    issuer: str
    keys: KeySet
    asked_for_keys: list[int] = field(default_factory=list)

    def rotate(self) -> None:
        """Sign with a new key from now on."""
        self.keys.keys.insert(0, _new_key())


class _Tokens(JWTBearerTokenGenerator):  # type: ignore[misc]  # as above
    def __init__(self, provider: Provider) -> None:
        super().__init__(issuer=provider.issuer)
        self._provider = provider

    def get_jwks(self) -> RSAKey:
        found = self._provider.keys.keys[0]
        assert isinstance(found, RSAKey)
        return found

    def get_audiences(self, client: Client, user: User | None, scope: str) -> list[str]:
        return [AUDIENCE]

    def get_extra_claims(
        self, client: Client, grant_type: str, user: User | None, scope: str
    ) -> dict[str, Any]:
        return client.claims


def _new_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, private=True, auto_kid=True)


@contextlib.contextmanager
def running_provider() -> Iterator[Provider]:
    """Serve on a free port of this machine."""
    app = Flask("provider")
    server = make_server("127.0.0.1", 0, app, threaded=True)
    provider = Provider(f"http://127.0.0.1:{server.server_port}", KeySet([_new_key()]))
    _add_routes(app, provider)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _add_routes(app: Flask, provider: Provider) -> None:
    # Over plain HTTP, which is right on one machine alone.
    app.config["OAUTH2_TOKEN_EXPIRES_IN"] = {"client_credentials": 300, "authorization_code": 300}
    authority = AuthorizationServer(app, CLIENTS.get, lambda token, request: None)
    authority.register_grant(grants.ClientCredentialsGrant)
    authority.register_grant(_CodeGrant)
    authority.register_token_generator("default", _Tokens(provider))

    @app.get("/.well-known/openid-configuration")
    def configuration() -> Response:
        return jsonify(
            issuer=provider.issuer,
            jwks_uri=f"{provider.issuer}/keys",
            token_endpoint=f"{provider.issuer}/token",
            authorization_endpoint=f"{provider.issuer}/authorize",
        )

    @app.get("/keys")
    def keys() -> Response:
        provider.asked_for_keys.append(1)
        return jsonify(provider.keys.as_dict(private=False))

    @app.get("/authorize")
    def authorize() -> Any:
        grant = authority.get_consent_grant(end_user=User(request.args["subject"]))
        return authority.create_authorization_response(
            grant=grant, grant_user=User(request.args["subject"])
        )

    @app.post("/token")
    def token() -> Any:
        return authority.create_token_response()
