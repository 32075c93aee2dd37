"""What happens to one element: the actions of PS3.15 table E.1-1a, and those of the options."""

import re
from collections.abc import Mapping
from enum import Enum
from functools import cache

from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as table
from pydicom.dataelem import DataElement
from pydicom.tag import BaseTag

from models.deidentification.options import (
    DESCRIPTORS,
    DEVICE_IDENTITY,
    KEPT_CHINESE,
    KEPT_WORDS,
    PATIENT_CHARACTERISTICS,
    Options,
)


class Action(Enum):
    """What is done to an element that the profile names."""

    KEEP = "K"
    REMOVE = "X"
    EMPTY = "Z"
    """Emptied: where the table lets the kind of object decide, empty is valid for types 2 and 3."""
    DUMMY = "D"
    NEW_UID = "U"
    CLEAN = "C"
    """Words that name no person stay."""
    MOVE = "M"
    """A date that is moved, or a time that stays with it."""
    INSIDE = "S"
    """A sequence whose items are treated element by element."""


_BY_CATEGORY = {
    "X_TAGS": Action.REMOVE,
    "Z_TAGS": Action.EMPTY,
    "D_TAGS": Action.DUMMY,
    "U_TAGS": Action.NEW_UID,
    "Z_D_TAGS": Action.DUMMY,
    "X_Z_TAGS": Action.EMPTY,
    "X_D_TAGS": Action.DUMMY,
    "X_Z_D_TAGS": Action.DUMMY,
    "X_Z_U_STAR_TAGS": Action.INSIDE,
}
"""Where the table offers several actions by an attribute's type, the one valid for each type."""
_TEMPORAL = frozenset({"DA", "DT", "TM"})
_PROSE = frozenset({"LT", "ST", "UT", "UC"})
_UNKNOWN = "UN"
_DUMMIES: Mapping[str, object] = {
    **dict.fromkeys(("LO", "LT", "PN", "SH", "ST", "UC", "UT"), "REMOVED"),
    **dict.fromkeys(("AE", "CS"), "REMOVED"),
    **dict.fromkeys(("DS", "IS"), "0"),
    **dict.fromkeys(("FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"), 0),
    **{"AS": "000Y", "DA": "19000101", "DT": "19000101", "TM": "000000"},
    **{"UR": "http://removed.invalid", "AT": 0, "OB": b"\0\0", "UN": b"\0\0", "OW": b"\0\0"},
}
"""By value representation; `.invalid` is reserved for such use (RFC 2606)."""


@cache
def _exact() -> dict[int, Action]:
    """Return the table by tag. It is kept by the project dicom-anonymizer, edition 2026c."""
    return {
        BaseTag(tag[0] << 16 | tag[1]): action
        for category, action in _BY_CATEGORY.items()
        for tag in getattr(table, category)
        if len(tag) == 2
    }


@cache
def _repeating() -> tuple[tuple[int, int, Action], ...]:
    """Return value, mask and action of groups that repeat, such as overlays (60xx,3000)."""
    return tuple(
        (tag[0] << 16 | tag[1], tag[2] << 16 | tag[3], action)
        for category, action in _BY_CATEGORY.items()
        for tag in getattr(table, category)
        if len(tag) == 4
    )


def action_on(element: DataElement, options: Options) -> Action:
    """Return what happens to `element`, which is not private.

    Beyond the table, whatever is a person's name, prose or of unknown representation goes too: it
    can hold anything.
    """
    by_option = _by_option(element, options)
    if by_option is not None:
        return by_option
    listed = _listed(element.tag)
    if listed is Action.DUMMY and element.VR == "UI":
        return Action.NEW_UID
    if listed is not None:
        return listed
    if element.VR == "SQ":
        return Action.INSIDE
    if element.VR == "PN":
        return Action.EMPTY
    if element.VR in _PROSE or element.VR == _UNKNOWN or element.VR in _TEMPORAL:
        return Action.REMOVE
    return Action.KEEP


def dummy_for(vr: str) -> object:
    """Return a value that says nothing, valid for the value representation."""
    return _DUMMIES.get(vr, "")


_KEPT = re.compile(
    rf"(?<![\w-])(?:{'|'.join(map(re.escape, KEPT_WORDS))})(?![\w-])"
    rf"|{'|'.join(sorted(KEPT_CHINESE, key=len, reverse=True))}",
    re.IGNORECASE | re.ASCII,
)


def cleaned(description: str) -> str:
    """Return the words of a description that name no person, in their order."""
    return " ".join(_KEPT.findall(description))


def _by_option(element: DataElement, options: Options) -> Action | None:
    keyword = element.keyword
    if keyword in PATIENT_CHARACTERISTICS and options.patient_characteristics:
        return Action.KEEP
    if keyword in DEVICE_IDENTITY and options.device_identity:
        return Action.KEEP
    if keyword in DESCRIPTORS and options.clean_descriptors:
        return Action.CLEAN
    # A date of birth is no date of the course of a disease: age stays in its place.
    is_birth = keyword in ("PatientBirthDate", "PatientBirthTime")
    if element.VR in _TEMPORAL and options.modified_dates and not is_birth:
        return Action.MOVE
    return None


def _listed(tag: BaseTag) -> Action | None:
    found = _exact().get(tag)
    if found is not None:
        return found
    return next(
        (action for value, mask, action in _repeating() if tag & mask == value & mask), None
    )
