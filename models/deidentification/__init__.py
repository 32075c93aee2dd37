"""De-identification: what leaves the institution tells nobody whose it is.

`Deidentifier.deidentify` applies PS3.15's Basic Application Level Confidentiality Profile with
`Options`, then looks with a second, independent check for what the source says of the patient.
`reidentify` is the way back for the holder of a private key, where a certificate was given.
"""

from models.deidentification.deidentifier import Deidentified, Deidentifier
from models.deidentification.envelope import reidentify
from models.deidentification.errors import (
    BurnedInTextError,
    DeidentificationError,
    IdentifierLeftError,
)
from models.deidentification.options import Options

__all__ = [
    "BurnedInTextError",
    "DeidentificationError",
    "Deidentified",
    "Deidentifier",
    "IdentifierLeftError",
    "Options",
    "reidentify",
]
