"""Errors of the privacy part.

ZhuzhenError
+-- MissingKeyError   a key is missing, malformed or of another installation
+-- SealError         something encrypted cannot be opened
"""

from models.errors import ZhuzhenError


class MissingKeyError(ZhuzhenError):
    """A key is not there, is not one, or is not the one that something was encrypted with."""


class SealError(ZhuzhenError, ValueError):
    """Something encrypted was changed, or belongs to another place; nothing of it is given out."""
