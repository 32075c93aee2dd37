"""What stands for a patient in the audit record, in logs and in traces of work."""

import base64
import hashlib
import hmac

from serving.privacy.keyring import Keyring, SecretName

_CHARACTERS = 26


def pseudonym_of(keyring: Keyring, issuer: str, identifier: str) -> str:
    """Return the pseudonym of a patient: `p-` and 26 characters (130 bits) of base32.

    HMAC-SHA-256 under a key of its own: the same patient has the same pseudonym as long as the
    installation lives, and without the key nobody can tell whose it is, not even by trying all
    numbers.

    Args:
        keyring: the installation's keys.
        issuer: who gave the identifier: the institution, or DICOM's IssuerOfPatientID (0010,0021).
        identifier: the patient's number there; surrounding spaces do not count (PS3.5, table
            6.2-1, LO), case does.
    """
    subject = f"{issuer.strip()}\n{identifier.strip()}"
    digest = hmac.digest(keyring.secret(SecretName.PSEUDONYM), subject.encode(), hashlib.sha256)
    return "p-" + base64.b32encode(digest).decode().lower()[:_CHARACTERS]
