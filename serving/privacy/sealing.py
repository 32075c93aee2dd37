"""Encrypting single values: identifying columns, notes, secrets of accounts.

A sealed value is a token, `zs1.<key>.<nonce and ciphertext in base64url>` (AES-256-GCM, a random
96-bit nonce). It is bound to a context, the column or field that it is for, so that it cannot be
moved elsewhere. Equal values look different; `blind_index` finds them.
"""

import base64
import binascii
import hashlib
import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from serving.privacy.errors import SealError
from serving.privacy.keyring import Keyring, SecretName

_MARK = "zs1"
_NONCE_BYTES = 12


def seal(keyring: Keyring, value: str, context: str) -> str:
    """Encrypt `value` for the place that `context` names, such as `patients.name`."""
    key = keyring.active_key()
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = nonce + AESGCM(key.secret).encrypt(nonce, value.encode(), context.encode())
    return f"{_MARK}.{key.key_id}.{base64.urlsafe_b64encode(sealed).decode()}"


def unseal(keyring: Keyring, sealed: str, context: str) -> str:
    """Return the value that `seal` made `sealed` of.

    Raises:
        SealError: it was changed, or is for another place.
        MissingKeyError: its data key is not in the keyring.
    """
    mark, _, rest = sealed.partition(".")
    key_id, _, encoded = rest.partition(".")
    if mark != _MARK:
        raise SealError("A value that should be encrypted is not; expected a sealed one.")
    try:
        raw = base64.urlsafe_b64decode(encoded)
        opened = AESGCM(keyring.data_key(key_id).secret).decrypt(
            raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], context.encode()
        )
    except (InvalidTag, binascii.Error, ValueError):
        raise SealError(f"A sealed value of {context} was changed or moved there.") from None
    return opened.decode()


def key_of(sealed: str) -> str:
    """Return the name of the data key that `sealed` was made with."""
    return sealed.split(".")[1]


def blind_index(keyring: Keyring, value: str, context: str) -> str:
    """Return what to look `value` up by where only its sealed form is stored.

    HMAC-SHA-256 under a key of its own, 43 characters of base64url: equal values of one context
    have equal indexes, which is all that they tell.
    """
    key = keyring.secret(SecretName.BLIND_INDEX)
    found = hmac.digest(key, f"{context}\n{value}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(found).decode().rstrip("=")
