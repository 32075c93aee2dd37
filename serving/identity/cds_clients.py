"""Which record systems may call the CDS services, and for whom: `cds-clients.yaml`.

CDS Hooks 2.0 (https://cds-hooks.hl7.org/2.0/#trusting-cds-clients) has a service keep an allow-list
of issuers and of addresses of their keys. Nobody else's signature is looked at, and no address that
a token names is asked for anything.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import yaml
from joserfc.errors import JoseError

from models import store
from models.errors import ZhuzhenError
from serving.identity.published_keys import is_protected, key_set

FILE = "cds-clients.yaml"
ENVIRONMENT = "ZHUZHEN_CDS_CLIENTS"
_NAME = "^[a-z0-9][a-z0-9-]{0,62}$"
_PRIVATE = ("d", "p", "q", "k")
"""Members of a JWK that whoever verifies has no business with (RFC 7518, 6.2.2, 6.3.2, 6.4)."""


class CdsClientsError(ZhuzhenError, ValueError):
    """The allow-list of CDS clients cannot be used; the message names file and place."""


@dataclass(frozen=True, slots=True)
class CdsClient:
    """One record system that signs its own calls."""

    name: str
    """What the audit record calls it."""
    issuer: str
    """`iss` of its tokens."""
    institution: str | None = None
    """Institution that it acts for; None for one that acts for several (`tenants`)."""
    tenants: Mapping[str, str] = field(default_factory=dict)
    """Institution by the `tenant` that a token names."""
    jku: str | None = None
    """The one address that its keys are published at."""
    keys: tuple[Mapping[str, Any], ...] = ()
    """Its public keys (JWK), where they were handed over otherwise; then no address is asked."""


@dataclass(frozen=True, slots=True)
class CdsClients:
    """The allow-list."""

    by_issuer: Mapping[str, CdsClient] = field(default_factory=dict)
    base_urls: tuple[str, ...] = ()
    """Addresses under which clients know this service (`https://zz.hospital.example`); empty for
    the one that a request was sent to."""

    @property
    def institutions(self) -> frozenset[str]:
        """Every institution that somebody acts for."""
        found = {one.institution for one in self.by_issuer.values() if one.institution}
        return frozenset(found).union(*(one.tenants.values() for one in self.by_issuer.values()))


def read_cds_clients(
    environment: Mapping[str, str] = os.environ, home: Path | None = None
) -> CdsClients:
    """Read the file that `ZHUZHEN_CDS_CLIENTS` names, by default the one in `ZHUZHEN_HOME`.

    Where there is none, nobody is on the list.

    Raises:
        CdsClientsError: it is absent where it was named, no YAML, or says what cannot be.
    """
    named = environment.get(ENVIRONMENT)
    place = Path(named) if named else (home or store.home()) / FILE
    if not place.exists():
        if named:
            raise CdsClientsError(f"{ENVIRONMENT} names a file that does not exist: {place.name}.")
        return CdsClients()
    return parse_cds_clients(place.read_text(encoding="utf-8"), place.name)


def parse_cds_clients(text: str, name: str = FILE) -> CdsClients:
    """Return what `text` says; `name` is what errors call the file.

    Raises:
        CdsClientsError: as for `read_cds_clients`.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise CdsClientsError(f"{name}{line}: this is not YAML.") from None
    if content is None:
        return CdsClients()
    wrong = jsonschema.exceptions.best_match(_VALIDATOR.iter_errors(content))
    if wrong is not None:
        place = " / ".join(str(step) for step in wrong.absolute_path) or "the file"
        raise CdsClientsError(f"{name}: {place}: {wrong.message}.")
    clients = [_client(entry, name) for entry in content.get("clients", ())]
    for what in ("name", "issuer"):
        _require_different([getattr(client, what) for client in clients], what, name)
    base_urls = tuple(url.rstrip("/") for url in content.get("base_urls", ()))
    return CdsClients({client.issuer: client for client in clients}, base_urls)


def _client(entry: Mapping[str, Any], file: str) -> CdsClient:
    tenants = {str(tenant): where for tenant, where in entry.get("tenants", {}).items()}
    client = CdsClient(**{**entry, "keys": tuple(entry.get("keys", ())), "tenants": tenants})
    where = f"{file}: clients / {client.name}"
    if (client.institution is None) == (not client.tenants):
        raise CdsClientsError(f"{where}: expected either institution or tenants.")
    if client.jku is None and not client.keys:
        raise CdsClientsError(f"{where}: expected jku, the https address of its keys, or keys.")
    if client.jku is not None and not (is_protected(client.jku) and urlsplit(client.jku).path):
        raise CdsClientsError(
            f"{where}: jku is not an https address; keys that came unprotected would prove nothing."
        )
    if any(key.get("kty") == "oct" or set(_PRIVATE) & set(key) for key in client.keys):
        raise CdsClientsError(
            f"{where}: keys holds a private or shared key; expected public ones alone. Have the "
            "client make a new pair: the private key is known to others now."
        )
    if client.keys:
        try:
            key_set({"keys": list(client.keys)})
        except (JoseError, KeyError, TypeError, ValueError):
            raise CdsClientsError(
                f"{where}: keys holds no usable public key; expected JWKs (RFC 7517), those for "
                "RSA of 2048 bits or more."
            ) from None
    return client


def _require_different(values: list[str], what: str, file: str) -> None:
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise CdsClientsError(f"{file}: two clients have the {what} {twice[0]}.")


_WORDS = {"type": "string", "minLength": 1, "maxLength": 512}
_VALIDATOR = jsonschema.Draft202012Validator(
    {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "base_urls": {
                "type": "array",
                "items": {"type": "string", "pattern": r"^https?://[^/?#\s]+(/[^?#\s]*)?$"},
            },
            "clients": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name", "issuer"],
                    "additionalProperties": False,
                    "properties": {
                        "name": {"type": "string", "pattern": _NAME},
                        "issuer": _WORDS,
                        "institution": {"type": "string", "pattern": _NAME},
                        "tenants": {
                            "type": "object",
                            "minProperties": 1,
                            "additionalProperties": {"type": "string", "pattern": _NAME},
                        },
                        "jku": _WORDS,
                        "keys": {
                            "type": "array",
                            "minItems": 1,
                            "items": {
                                "type": "object",
                                "required": ["kty", "kid"],
                                "properties": {"kid": _WORDS},
                            },
                        },
                    },
                },
            },
        },
    }
)
