"""What a search asks for, and whether attributes match it (PS3.18 section 8.3.4, PS3.4 C.2.2.2)."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from http import HTTPStatus

from pydicom.datadict import dictionary_VR, tag_for_keyword
from starlette.datastructures import QueryParams

from serving.archive.header import (
    INSTANCE_KEYWORDS,
    SERIES_KEYWORDS,
    STUDY_KEYWORDS,
    Attributes,
)
from serving.problems import Problem

MOST_RESULTS = 1000
"""In one answer; more are had by `offset`."""
MODALITIES_IN_STUDY = "00080061"
_DATES = ("DA", "TM")
_TAG = re.compile(r"[0-9A-Fa-f]{8}")


def key_of(name: str) -> str | None:
    """Return the JSON key of an attribute given as keyword or as eight hexadecimal digits."""
    if _TAG.fullmatch(name):
        return name.upper()
    tag = tag_for_keyword(name)
    return None if tag is None else f"{tag:08X}"


class Level(IntEnum):
    """What is searched for."""

    STUDY = 1
    SERIES = 2
    INSTANCE = 3


KEYWORDS: Mapping[Level, tuple[str, ...]] = {
    Level.STUDY: (*STUDY_KEYWORDS, "ModalitiesInStudy"),
    Level.SERIES: SERIES_KEYWORDS,
    Level.INSTANCE: INSTANCE_KEYWORDS,
}
"""By which studies, series and instances are found; each also by those of the levels above."""


def _searchable(deepest: Level) -> Mapping[str, str]:
    """Return value representations by JSON key of what is known at a level."""
    return {
        f"{tag_for_keyword(keyword):08X}": dictionary_VR(keyword)
        for level, keywords in KEYWORDS.items()
        if level <= deepest
        for keyword in keywords
    }


_SEARCHABLE = {level: _searchable(level) for level in Level}
SEARCHABLE = _SEARCHABLE[Level.INSTANCE]
"""Value representation by JSON key of every attribute that can be asked for."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One attribute that must match."""

    key: str
    vr: str
    values: tuple[str, ...]
    """One of which must match: a list of UIDs or modalities; else there is one."""
    fuzzy: bool = False

    def matches(self, attributes: Attributes) -> bool:
        """Whether one of the attribute's values matches one of ours."""
        found = attributes.get(self.key, {}).get("Value") or []
        if self.vr in _DATES:
            return any(_in_range(str(value), self.values[0]) for value in found)
        if self.vr == "PN":
            names = [text for value in found if value for text in value.values()]
            return any(self._name_matches(name) for name in names)
        return any(
            _pattern(wanted).fullmatch(str(value)) for wanted in self.values for value in found
        )

    def _name_matches(self, name: str) -> bool:
        wanted = self.values[0]
        if not self.fuzzy:
            return bool(_pattern(wanted, re.IGNORECASE).fullmatch(name))
        words = _words(name)
        # Every word that is asked for begins a word of the name, in any order.
        return all(any(word.startswith(part) for word in words) for part in _words(wanted))


@dataclass(frozen=True)
class Search:
    """A query, read."""

    conditions: tuple[Condition, ...]
    limit: int = MOST_RESULTS
    offset: int = 0
    not_searchable: tuple[str, ...] = field(default=())
    """Included fields that are not in the index."""

    @cached_property
    def by_key(self) -> dict[str, Condition]:
        """Return the conditions by JSON key."""
        return {condition.key: condition for condition in self.conditions}


def read_search(query: QueryParams, level: Level) -> Search:
    """Read the query of a search for what is of a `level`.

    Raises:
        Problem: 400, naming what is not understood.
    """
    conditions = []
    fuzzy = _switch(query.get("fuzzymatching", "false"))
    missing: list[str] = []
    for name, value in query.multi_items():
        if name in ("limit", "offset", "fuzzymatching"):
            continue
        if name == "includefield":
            missing += _not_in_index(value)
            continue
        key = key_of(name)
        if key is None or key not in SEARCHABLE:
            raise Problem(
                HTTPStatus.BAD_REQUEST,
                "The query asks for an attribute that is not searched; the conformance statement "
                "lists those that are.",
            )
        if key not in _SEARCHABLE[level]:
            raise Problem(
                HTTPStatus.BAD_REQUEST,
                f"The query asks for an attribute of a level below that of a {level.name.lower()}; "
                "search for series or instances by it, or for studies by ModalitiesInStudy.",
            )
        if value:
            conditions.append(_condition(key, value, fuzzy=fuzzy))
    return Search(
        tuple(conditions),
        limit=min(_number(query, "limit", MOST_RESULTS), MOST_RESULTS),
        offset=_number(query, "offset", 0),
        not_searchable=tuple(missing),
    )


def _condition(key: str, value: str, *, fuzzy: bool) -> Condition:
    vr = SEARCHABLE[key]
    if "\0" in value:
        raise Problem(HTTPStatus.BAD_REQUEST, "The query has a value that no attribute can have.")
    if vr in _DATES:
        if not re.fullmatch(r"[\d.]*-?[\d.]*", value):
            raise Problem(
                HTTPStatus.BAD_REQUEST, "A date or time is neither a value nor a range from-to."
            )
        return Condition(key, vr, (value,))
    if vr == "UI" or key == MODALITIES_IN_STUDY:
        return Condition(key, vr, tuple(re.split(r"[,\\]", value)))
    return Condition(key, vr, (value,), fuzzy)


def _not_in_index(value: str) -> list[str]:
    names = [name for name in value.split(",") if name and name != "all"]
    return [name for name in names if key_of(name) not in SEARCHABLE]


def _switch(value: str) -> bool:
    if value not in ("true", "false"):
        raise Problem(HTTPStatus.BAD_REQUEST, "fuzzymatching is neither true nor false.")
    return value == "true"


def _number(query: QueryParams, name: str, default: int) -> int:
    value = query.get(name, str(default))
    if not value.isdecimal() or len(value) > 9:
        raise Problem(HTTPStatus.BAD_REQUEST, f"{name} is not a whole number from 0.")
    return int(value)


def _in_range(found: str, wanted: str) -> bool:
    found = found.replace(":", "").strip()
    if "-" not in wanted:
        return found.startswith(wanted) if len(wanted) < 8 else found == wanted
    first, _, last = wanted.partition("-")
    return (not first or found >= first) and (not last or found[: len(last)] <= last)


def _pattern(wanted: str, flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[str]:
    """Return wildcard matching (PS3.4 C.2.2.2.4): `*` for any text, `?` for one character.

    What stands between two `*` is found at its first place and looked for no further: another place
    would leave less for what follows. With many `*` trying them all would never end.
    """
    first, *others = (
        "".join("." if char == "?" else re.escape(char) for char in part)
        for part in re.split(r"\*+", wanted)
    )
    between = "".join(f"(?>.*?{part})" for part in others[:-1])
    end = f".*{others[-1]}" if others else ""
    return re.compile(first + between + end, flags | re.DOTALL)


def _words(text: str) -> list[str]:
    """Return the words of a name in lower case and without accents; Chinese ones as they are."""
    plain = unicodedata.normalize("NFKD", text)
    bare = "".join(char for char in plain if not unicodedata.combining(char))
    return [word for word in re.split(r"[\s^=,*?.-]+", bare.casefold()) if word]
