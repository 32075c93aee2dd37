"""What can be wrong with a change to who may do what."""

from models.errors import ZhuzhenError


class RequestRefusedError(ZhuzhenError, ValueError):
    """A change was asked for that cannot be made as it is; the message says why and what could."""


class CredentialRefusedError(ZhuzhenError):
    """What a request brought as its credential does not prove who sent it.

    The message is for whoever sets the sender up and repeats nothing of what was sent; `reason` is
    for the audit record.
    """

    def __init__(self, reason: str, told: str) -> None:
        super().__init__(told)
        self.reason = reason
