"""What can be wrong with a change to who may do what."""

from models.errors import ZhuzhenError


class RequestRefusedError(ZhuzhenError, ValueError):
    """A change was asked for that cannot be made as it is; the message says why and what could."""
