"""Why an object is not given out.

InputError
+-- DeidentificationError     the object must not leave
    +-- BurnedInTextError     its pixels may show who the patient is
    +-- IdentifierLeftError   the second check found a value of the source in the result
"""

from models.errors import InputError


class DeidentificationError(InputError):
    """An object cannot be de-identified; it must not leave the institution."""


class BurnedInTextError(DeidentificationError):
    """The pixels may show who the patient is, and nobody said where to mask them."""


class IdentifierLeftError(DeidentificationError):
    """A value that identifies the patient is left in the bytes of the result."""
