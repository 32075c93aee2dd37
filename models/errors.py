"""The errors that cross a module border.

    ZhuzhenError
    +-- InputError                what a sender gave cannot be used
    |   +-- UnusableImageError   told in both languages, for it is answered to the sender
    |       +-- UnreadableImageError  not an image, broken, or pixels that cannot be decoded
    |       +-- InputTooLargeError    over the limit on bytes or pixels, found before decoding
    +-- PackageError              a model package that must not be loaded
    |   +-- PackageNotFoundError  no such model or version in the store
    |   +-- PackageTamperedError  a file does not have the digest it was released with
    |   +-- PackageInvalidError   metadata, calibration or reference do not fit the contract
    |   +-- OtherKindError        it is intact, but takes another kind of input
    +-- DataError                 a data set, manifest or split that must not be trained on

Messages say what was found, what was expected and what to do next. They may name tags, files
and limits; they never repeat a value that could identify a patient.
"""

from models.text import Text


class ZhuzhenError(Exception):
    """Base of every error this project raises on purpose; its text may be shown to a user."""


class InputError(ZhuzhenError, ValueError):
    """What a sender gave cannot be used."""


class UnusableImageError(InputError):
    """What was sent gives no image to judge."""

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(en, zh)
        self.text = Text(en, zh)

    def __str__(self) -> str:
        return self.text.en


class UnreadableImageError(UnusableImageError):
    """The bytes are not an image that can be decoded."""


class InputTooLargeError(UnusableImageError):
    """The input is over a limit that is checked before anything is decoded."""


class PackageError(ZhuzhenError):
    """A model package must not be loaded."""


class PackageNotFoundError(PackageError, LookupError):
    """No such model or version is in the store."""


class PackageTamperedError(PackageError):
    """A file of the package does not have the digest it was released with."""


class PackageInvalidError(PackageError, ValueError):
    """A file of the package does not fit the contract."""


class OtherKindError(PackageError, ValueError):
    """The package takes another kind of input than it was asked about."""

    def __init__(self, model: str, kind: str) -> None:
        takes = "named inputs of a person" if kind == "table" else f"a {kind}"
        super().__init__(f"The model {model} takes {takes}; name one for what was sent.")
        self.model = model
        self.kind = kind
        """What it takes: `radiograph`, `tile` or `table`."""


class DataError(ZhuzhenError, ValueError):
    """A data set, manifest or split must not be trained on."""
