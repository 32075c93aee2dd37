"""Opening the audit record of an installation.

engine = open_engine(audit_url(database_url()))
with open_recorder(engine, open_keyring()) as recorder:
    ...
"""

import os
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from models.store import home
from serving.audit.checkpoints import Signer
from serving.audit.tables import create_schema
from serving.audit.writing import DatabaseRecorder, RecorderSettings
from serving.privacy import Keyring, SecretName

ANCHOR = "ZHUZHEN_AUDIT_ANCHOR"
_FILE = "audit.sqlite3"


def audit_url(records_url: str) -> str:
    """Return the address of the audit record for the records at `records_url`.

    On PostgreSQL it is the same database. On SQLite it is a file of its own beside it: SQLite has
    one writer at a time for each file, and every request writes to the audit record.
    """
    url = make_url(records_url)
    if url.get_backend_name() != "sqlite" or not url.database:
        return records_url
    beside = Path(url.database).with_name(_FILE)
    return url.set(database=str(beside)).render_as_string(hide_password=False)


def open_recorder(
    engine: Engine, keyring: Keyring, settings: RecorderSettings | None = None
) -> DatabaseRecorder:
    """Return the recorder that writes to `engine`, not started yet; the tables are made if new."""
    create_schema(engine)
    return DatabaseRecorder(engine, signer_of(keyring), anchor_path(), settings)


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
    return Path(named) if named else home() / "audit" / "anchor"
