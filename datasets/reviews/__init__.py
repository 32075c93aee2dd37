"""Reviews of pre-reads, as a reader gave them: the file that goes back into training.

JSON Lines, one review of one image a line; `review.schema.json` is the contract. Whoever writes
them writes reviews that were consented to; reading holds that again: none without consent passes.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema

from models.errors import DataError


@dataclass(frozen=True, slots=True)
class FindingReview:
    """What a reader said of one finding."""

    finding: str
    action: str
    """`accept`, `reject`, `relocate` or `add`."""
    said: str
    """What the model decided: `present`, `absent`, `indeterminate`; `none` where it was added."""
    reason: str
    """Code of the reason; see the schema."""

    @property
    def present(self) -> bool | None:
        """Whether the reader says that the finding is there; None where nobody decided."""
        if self.action in ("add", "relocate"):
            return True
        if self.said not in ("present", "absent"):
            return None
        return (self.said == "present") == (self.action == "accept")


@dataclass(frozen=True, slots=True)
class Review:
    """One reader's review of one image."""

    review_id: str
    sample_id: str
    """Of the image among those that came with the reviews; its path there."""
    sha256: str
    group: str
    """Pseudonym of the patient, the same in every review."""
    model: str
    version: str
    findings: tuple[FindingReview, ...]
    reader: str
    """Pseudonym of the reader."""
    reader_role: str
    reading_time_s: float
    site: str
    age_years: float | None
    sex: str
    sent: str = ""
    """Pseudonym of the input as it was sent, as in `models.observation`; empty if not known."""
    signed_at: str = ""
    """The day, ISO 8601."""
    consent_scope: str = ""
    """Code of the consent that was given; empty where it has none."""


def read_reviews(path: Path) -> Iterator[Review]:
    """Read the reviews of the file at `path`.

    Raises:
        DataError: the file is absent or empty; a line does not fit the schema, or has no consent
            to training; the message names the line. A review without consent stops the reading:
            it should never have come here.
    """
    schema = json.loads(
        resources.files("datasets.reviews").joinpath("review.schema.json").read_text("utf-8")
    )
    validator = jsonschema.Draft202012Validator(schema)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise DataError(f"{path.name} is not there; name the file of reviews.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} cannot be read; expected reviews in UTF-8.") from error
    if not lines:
        raise DataError(f"{path.name} has no reviews; export them again, or leave the file away.")
    for number, line in enumerate(lines, start=1):
        where = f"{path.name} line {number}"
        try:
            content = json.loads(line)
        except ValueError as error:
            raise DataError(f"{where} is not JSON; write the file again.") from error
        wrong = next(iter(validator.iter_errors(content)), None)
        if wrong is not None:
            at = "/".join(str(step) for step in wrong.absolute_path) or "the top level"
            if list(wrong.absolute_path) == ["consent", "training"]:
                raise DataError(
                    f"{where}: there is no consent to training; take the review out of the file "
                    "and its image out of the folder."
                )
            # The message of the schema would repeat the value, which may be a person's.
            raise DataError(
                f"{where}: at {at}: does not fit review.schema.json ({wrong.validator})."
            )
        yield _review(content)


def _review(content: dict[str, Any]) -> Review:
    image, reader = content["image"], content["reader"]
    return Review(
        review_id=content["review_id"],
        sample_id=image["path"],
        sha256=image["sha256"],
        group=image["patient"],
        model=content["model"]["name"],
        version=content["model"]["version"],
        findings=tuple(
            FindingReview(each["finding"], each["action"], each["said"], each.get("reason", ""))
            for each in content["findings"]
        ),
        reader=reader["id"],
        reader_role=reader["role"],
        reading_time_s=float(content["reading_time_s"]),
        site=image.get("site", ""),
        # A manifest that is read back has floating numbers, too.
        age_years=float(image["age_years"]) if "age_years" in image else None,
        sex=image.get("sex", ""),
        signed_at=content["signed_at"],
        consent_scope=content["consent"].get("scope", ""),
        sent=image.get("sent", ""),
    )
