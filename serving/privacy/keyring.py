"""Data keys and lasting secrets, wrapped by a master key in one small file.

Envelope encryption: what is stored is encrypted with a data key, data keys with a master key. A new
master key rewraps this file alone; a new data key is used from then on, while what was encrypted
before stays readable and is re-encrypted in the background. Every process notices a change of the
file at the next use, so neither rotation stops anything.
"""

import base64
import fcntl
import json
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from models.store import home
from serving.privacy.errors import MissingKeyError
from serving.privacy.master_keys import KEY_BYTES, MasterKeys, load_master_keys


class SecretName(StrEnum):
    """Secrets that outlive data keys, because what they made cannot be made anew."""

    AUDIT_SIGNING = "audit-signing"
    """Ed25519 seed that signs audit checkpoints."""
    BLIND_INDEX = "blind-index"
    """HMAC key by which encrypted columns and objects are found."""
    CREDENTIALS = "credentials"
    """HMAC key under which API keys and session identifiers are stored."""
    PSEUDONYM = "pseudonym"
    """HMAC key that turns a patient's identifier into the pseudonym of the audit record."""


@dataclass(frozen=True, slots=True)
class DataKey:
    """A key that encrypts data."""

    key_id: str
    secret: bytes


class Keyring:
    """The keys of one installation. Safe to share between threads."""

    def __init__(self, path: Path, master_keys: MasterKeys) -> None:
        self.path = path
        self._place = str(path)
        self._master = master_keys
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._data_keys: dict[str, DataKey] = {}
        self._secrets: dict[str, bytes] = {}
        self._active = ""
        self._active_since = datetime.now(UTC)
        if not path.exists():
            with self._changing() as content:
                _complete(content, self._master)
        self._refresh()
        if set(SecretName) - set(self._secrets):
            with self._changing() as content:
                _complete(content, self._master)

    def active_key(self) -> DataKey:
        """Return the key to encrypt with."""
        self._refresh()
        return self._data_keys[self._active]

    def active_since(self) -> datetime:
        """Return when the key that encrypts was made."""
        self._refresh()
        return self._active_since

    def data_key(self, key_id: str) -> DataKey:
        """Return the key that something was encrypted with.

        Raises:
            MissingKeyError: it is not in the keyring.
        """
        if key_id not in self._data_keys:
            self._refresh()
        try:
            return self._data_keys[key_id]
        except KeyError:
            raise MissingKeyError(
                f"The keyring {self.path.name} has no data key {key_id!r}; expected the keyring "
                "that belongs to this data. Restore it from the backup."
            ) from None

    def data_key_ids(self) -> tuple[str, ...]:
        """Return the names of all data keys, oldest first; the last is the active one."""
        self._refresh()
        return tuple(self._data_keys)

    def secret(self, name: SecretName) -> bytes:
        """Return the 32 bytes of a lasting secret."""
        self._refresh()
        return self._secrets[name]

    def add_data_key(self) -> DataKey:
        """Make a data key that is used from now on; older ones stay to read with."""
        with self._changing() as content:
            _add_data_key(content, self._master)
        return self.active_key()

    def drop_data_key(self, key_id: str) -> None:
        """Forget a data key: what is still encrypted with it is lost for good.

        Raises:
            MissingKeyError: it is the active one or not there.
        """
        if key_id == self.active_key().key_id or key_id not in self._data_keys:
            raise MissingKeyError(f"The data key {key_id!r} is in use or not in the keyring.")
        with self._changing() as content:
            del content["data_keys"][key_id]

    def rewrap(self) -> int:
        """Wrap everything with the active master key; return how many keys had another one."""
        with self._changing() as content:
            changed = 0
            for kind in ("data_keys", "secrets"):
                for name, entry in content[kind].items():
                    if entry["master"] != self._master.active_id:
                        plain = _unwrap(self._master, kind, name, entry)
                        content[kind][name] = entry | _wrap(self._master, kind, name, plain)
                        changed += 1
        return changed

    def _refresh(self) -> None:
        # As text, which is asked for sooner: every object and every sealed value comes by here.
        status = os.stat(self._place)  # noqa: PTH116
        stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
        if stamp == self._stamp:
            return
        content = json.loads(self.path.read_text(encoding="ascii"))
        data_keys = {
            name: DataKey(name, _unwrap(self._master, "data_keys", name, entry))
            for name, entry in content["data_keys"].items()
        }
        found = {
            name: _unwrap(self._master, "secrets", name, entry)
            for name, entry in content["secrets"].items()
        }
        with self._lock:
            self._data_keys, self._secrets = data_keys, found
            self._active, self._stamp = content["active"], stamp
            made_at = content["data_keys"][self._active]["made_at"]
            self._active_since = datetime.fromisoformat(made_at)

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        """Yield the content of the file and replace it by what was made of it, one at a time."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.path.with_name(f"{self.path.name}.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            content: dict[str, Any] = {"format": 1, "active": "", "data_keys": {}, "secrets": {}}
            if self.path.exists():
                content = json.loads(self.path.read_text(encoding="ascii"))
            yield content
            _replace(self.path, json.dumps(content, indent=1) + "\n")
        self._refresh()


def open_keyring(folder: Path | None = None) -> Keyring:
    """Return the keyring of the installation in `folder` (`ZHUZHEN_HOME`), made if it is new.

    Raises:
        MissingKeyError: the master key cannot be had or is another installation's.
    """
    place = folder or home()
    return Keyring(place / "keys" / "keyring.json", load_master_keys(place))


def _complete(content: dict[str, Any], master: MasterKeys) -> None:
    if not content["data_keys"]:
        _add_data_key(content, master)
    for name in SecretName:
        if name.value not in content["secrets"]:
            fresh = secrets.token_bytes(KEY_BYTES)
            content["secrets"][name.value] = _wrap(master, "secrets", name, fresh)


def _add_data_key(content: dict[str, Any], master: MasterKeys) -> None:
    key_id = secrets.token_hex(8)
    fresh = secrets.token_bytes(KEY_BYTES)
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    wrapped = _wrap(master, "data_keys", key_id, fresh)
    content["data_keys"][key_id] = {"made_at": made_at, **wrapped}
    content["active"] = key_id


def _wrap(master: MasterKeys, kind: str, name: str, plain: bytes) -> dict[str, str]:
    wrapped = master.wrap(plain, f"zhuzhen-keyring-1\n{kind}\n{name}".encode())
    return {
        "master": master.active_id,
        "wrapped": base64.b64encode(wrapped).decode(),
    }


def _unwrap(master: MasterKeys, kind: str, name: str, entry: dict[str, str]) -> bytes:
    context = f"zhuzhen-keyring-1\n{kind}\n{name}".encode()
    return master.unwrap(entry["master"], base64.b64decode(entry["wrapped"]), context)


def _replace(path: Path, content: str) -> None:
    fresh = path.with_name(f"{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
