"""What is wrong with a job, in ways that others must know."""

from models.errors import ZhuzhenError


class JobGoneError(ZhuzhenError, LookupError):
    """A job is carried out whose study was erased meanwhile; what it made is forgotten."""

    def __init__(self) -> None:
        super().__init__("The study was erased; nothing of it is read, kept or sent any more.")
