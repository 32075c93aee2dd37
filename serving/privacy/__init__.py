"""Keeping people's data: keys, sealed values, pseudonyms, consent, export and erasure."""

from serving.privacy.errors import MissingKeyError, SealError
from serving.privacy.keyring import Keyring, SecretName, open_keyring
from serving.privacy.pseudonyms import pseudonym_of
from serving.privacy.sealing import blind_index, seal, unseal

__all__ = [
    "Keyring",
    "MissingKeyError",
    "SealError",
    "SecretName",
    "blind_index",
    "open_keyring",
    "pseudonym_of",
    "seal",
    "unseal",
]
