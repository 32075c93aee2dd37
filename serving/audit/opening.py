"""Opening the audit record of an installation.

with recording(open_keyring()) as recorder:
    receipt = recorder.record(event)
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from models.store import home
from serving.audit.checkpoints import Signer
from serving.audit.tables import create_schema
from serving.audit.writing import DatabaseRecorder, RecorderSettings
from serving.privacy import Keyring, SecretName
from serving.records import database_url, open_engine

ANCHOR = "ZHUZHEN_AUDIT_ANCHOR"
FILE = "audit.sqlite3"


def audit_url(records_url: str | None = None) -> str:
    """Return the address of the audit record for the records at `records_url`.

    On PostgreSQL it is the same database. On SQLite it is a file of its own beside it: SQLite has
    one writer at a time for each file, and every request writes to the audit record.
    """
    found = records_url or database_url()
    url = make_url(found)
    if url.get_backend_name() != "sqlite" or not url.database:
        return found
    return f"sqlite:///{Path(url.database).with_name(FILE)}"


@contextmanager
def audit_engine() -> Iterator[Engine]:
    """Yield an engine on this installation's audit record; its tables are made if new."""
    engine = open_engine(audit_url())
    try:
        create_schema(engine)
        yield engine
    finally:
        engine.dispose()


@contextmanager
def recording(
    keyring: Keyring, settings: RecorderSettings | None = None
) -> Iterator[DatabaseRecorder]:
    """Yield the recorder of this installation (`ZHUZHEN_HOME`), which writes in this context.

    Raises:
        AuditTamperedError: the record lacks what the anchor says was there.
    """
    with (
        audit_engine() as engine,
        DatabaseRecorder(engine, signer_of(keyring), anchor_path(), settings) as recorder,
    ):
        yield recorder


def signer_of(keyring: Keyring) -> Signer:
    """Return what signs the checkpoints of an installation."""
    return Signer(Ed25519PrivateKey.from_private_bytes(keyring.secret(SecretName.AUDIT_SIGNING)))


def trusted_keys(keyring: Keyring) -> dict[str, Ed25519PublicKey]:
    """Return the public keys whose signatures an installation trusts, by their name."""
    signer = signer_of(keyring)
    return {signer.key_id: signer.key.public_key()}


def anchor_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where the last checkpoint is kept outside the database: `ZHUZHEN_AUDIT_ANCHOR`."""
    named = environment.get(ANCHOR)
    return Path(named) if named else home() / "audit-anchor.json"
