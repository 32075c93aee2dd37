"""The keys that wrap all others, and where they come from: the environment, a file, or a KMS.

Everything encrypted hangs on them, so they are kept apart from the data: `ZHUZHEN_MASTER_KEY` in
the environment, `ZHUZHEN_MASTER_KEY_FILE` naming a file (a mounted secret), or
`ZHUZHEN_MASTER_KEY_PROVIDER` naming an installed entry point of the group `zhuzhen.master_keys`
that speaks to a KMS or an HSM. Without any of these a key file is made in `ZHUZHEN_HOME/keys`,
which is good for trying and which `zhuzhen doctor` warns about.

A key is 32 random bytes in base64 (`openssl rand -base64 32`). Several, one a line or separated by
commas, are a rotation: the first wraps, all unwrap.
"""

import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from serving.privacy.errors import MissingKeyError, SealError

KEY_BYTES = 32
_NONCE_BYTES = 12
ENVIRONMENT = "ZHUZHEN_MASTER_KEY"
FILE = "ZHUZHEN_MASTER_KEY_FILE"
PROVIDER = "ZHUZHEN_MASTER_KEY_PROVIDER"
_GROUP = "zhuzhen.master_keys"


class MasterKeys(Protocol):
    """What wraps data keys: keys in memory, a KMS or an HSM."""

    @property
    def active_id(self) -> str:
        """Name of the key that wraps; it says nothing about the key."""
        ...

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        """Encrypt `secret` with the active key, bound to `context`."""
        ...

    def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """Decrypt what `wrap` made.

        Raises:
            MissingKeyError: there is no key of that name.
            SealError: `wrapped` was changed or has another context.
        """
        ...


class LocalMasterKeys:
    """Master keys in this process's memory (AES-256-GCM)."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = {_name_of(key): AESGCM(key) for key in keys}
        self._active_id = _name_of(keys[0])

    @property
    def active_id(self) -> str:
        """Name of the first key."""
        return self._active_id

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        """Encrypt `secret` with the first key, bound to `context`."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._keys[self._active_id].encrypt(nonce, secret, context)

    def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """Decrypt what `wrap` made; see `MasterKeys.unwrap`."""
        if key_id not in self._keys:
            raise MissingKeyError(
                f"The keyring needs the master key {key_id}, which is not given; expected it in "
                f"{ENVIRONMENT} or {FILE}. Give the key that this installation was made with."
            )
        try:
            return self._keys[key_id].decrypt(
                wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], context
            )
        except InvalidTag:
            raise SealError("A wrapped key of the keyring was changed; restore the file.") from None


def new_master_key() -> str:
    """Return a fresh master key as it is written into a file or the environment."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def parse_master_keys(written: str, where: str) -> LocalMasterKeys:
    """Return the keys in `written`; `where` names their source in errors.

    Raises:
        MissingKeyError: there is none, or one is not 32 bytes of base64; it is not repeated.
    """
    found = [part.strip() for part in written.replace(",", "\n").splitlines() if part.strip()]
    try:
        keys = [base64.b64decode(part, validate=True) for part in found]
    except binascii.Error:
        keys = []
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        raise MissingKeyError(
            f"{where} holds no master key; expected {KEY_BYTES} bytes in base64, as openssl rand "
            f"-base64 {KEY_BYTES} writes them, and for a rotation the old key after the new one."
        )
    return LocalMasterKeys(keys)


def load_master_keys(
    home: Path, environment: Mapping[str, str] = os.environ, *, create: bool = True
) -> MasterKeys:
    """Return the master keys that the settings name, made in `home` if they name none.

    Raises:
        MissingKeyError: they cannot be had.
    """
    if provider := environment.get(PROVIDER):
        return _provided(provider)
    if written := environment.get(ENVIRONMENT):
        return parse_master_keys(written, ENVIRONMENT)
    named = environment.get(FILE)
    path = Path(named) if named else default_key_file(home)
    if not named and create and not path.exists():
        _create(path)
    try:
        return parse_master_keys(path.read_text(encoding="ascii"), (named and FILE) or path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise MissingKeyError(
            f"The master key file {path} cannot be read ({type(error).__name__}); expected "
            f"{KEY_BYTES} bytes in base64. Name it in {FILE}, or give {ENVIRONMENT}."
        ) from None


def default_key_file(home: Path) -> Path:
    """Return where a master key is made when none is given."""
    return home / "keys" / "master.key"


def _provided(name: str) -> MasterKeys:
    found = list(entry_points(group=_GROUP, name=name))
    if not found:
        raise MissingKeyError(
            f"{PROVIDER} names {name!r}, which no installed package offers (entry point group "
            f"{_GROUP}). Install it, or give {ENVIRONMENT} or {FILE}."
        )
    provided: MasterKeys = found[0].load()()
    return provided


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(new_master_key() + "\n")
        file.flush()
        os.fsync(file.fileno())


def _name_of(key: bytes) -> str:
    return hashlib.sha256(b"zhuzhen-master-key-1\n" + key).hexdigest()[:16]
