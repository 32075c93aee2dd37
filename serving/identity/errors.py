"""What can be wrong with a credential, and with a change to who may do what.

ZhuzhenError
+-- RequestRefusedError              a change cannot be made as it was asked for
+-- CredentialRefusedError           nobody, or nobody any more, is behind a request
    +-- BearerRefusedError           the key or token in its header proves nothing now
    |   +-- SignedCallRefusedError   a record system signed no such call; it is told why
    +-- ForgedRequestError           a session that another site's page had the browser send
"""

from models.errors import ZhuzhenError
from serving.policy import Actor

NO_INSTITUTION = "There is no institution of this identifier; zhuzhen institutions list shows all."
"""It is not repeated: whoever mistakes one field for another may have written a patient into it."""


class RequestRefusedError(ZhuzhenError, ValueError):
    """A change was asked for that cannot be made as it is; the message says why and what could."""


class CredentialRefusedError(ZhuzhenError):
    """A request has no credential that is valid now.

    `reason` is a machine name for the audit record and the log. The sender is not told it: it would
    tell who guesses how close the guess was. The credential itself is in neither.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"The credential is not valid ({reason}); get a new one.")
        self.reason = reason


class BearerRefusedError(CredentialRefusedError):
    """The key or token in the Authorization header is not valid now."""


class SignedCallRefusedError(BearerRefusedError):
    """A call that a record system should have signed itself is not so.

    `told` is for whoever sets that system up, and repeats nothing of what was sent.
    """

    def __init__(self, reason: str, told: str) -> None:
        super().__init__(reason)
        self.told = told

    def __str__(self) -> str:
        return self.told


class ForgedRequestError(CredentialRefusedError):
    """The session is `actor`'s, but the page that sent the request did not show that it is ours."""

    def __init__(self, actor: Actor) -> None:
        super().__init__("forged_request")
        self.actor = actor
