"""Everything that the service ships with may be shipped under Apache-2.0."""

import re
from importlib.metadata import Distribution, distribution, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PERMISSIVE = re.compile(
    r"\b(MIT|BSD|0BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla|HPND|Unlicense|zlib|CC0"
    r"|LGPL|Lesser General Public)",
    re.IGNORECASE,
)
STRONG_COPYLEFT = re.compile(r"\bA?GPL|GNU (?:Affero )?General Public", re.IGNORECASE)


def service_closure() -> list[str]:
    """Names of all distributions that the base installation and the demonstration bring along."""
    found: set[str] = set()
    # Each entry is a distribution with the extras of it that are wanted.
    open_ends: list[tuple[str, tuple[str, ...]]] = [("zhuzhen", ("demo",))]
    seen: set[tuple[str, tuple[str, ...]]] = set()
    while open_ends:
        entry = open_ends.pop()
        if entry in seen:
            continue
        seen.add(entry)
        name, extras = entry
        found.add(name)
        for line in requires(name) or []:
            wanted = Requirement(line)
            if wanted.marker is None or any(
                wanted.marker.evaluate({"extra": extra}) for extra in ("", *extras)
            ):
                open_ends.append((canonicalize_name(wanted.name), tuple(sorted(wanted.extras))))
    return sorted(found)


def stated_licence(dist: Distribution) -> str:
    """What a distribution's metadata says of its licence, on one line."""
    fields = [
        *(dist.metadata.get_all("License-Expression") or []),
        *(dist.metadata.get_all("License") or []),
        *(
            line
            for line in dist.metadata.get_all("Classifier") or []
            if line.startswith("License ::")
        ),
    ]
    # Some put the whole text into the field; its title says which one it is.
    return "; ".join(field.strip()[:200] for field in fields if field.strip() != "UNKNOWN")


@pytest.mark.parametrize("name", service_closure())
def test_licence_allows_shipping(name: str) -> None:
    licence = stated_licence(distribution(name))
    assert PERMISSIVE.search(licence), f"{name} states {licence!r}"
    without_lesser = re.sub(r"LGPL|Lesser General Public", "", licence, flags=re.IGNORECASE)
    assert not STRONG_COPYLEFT.search(without_lesser), f"{name} states {licence!r}"


def test_closure_reaches_beyond_the_declared() -> None:
    closure = service_closure()
    assert {"bentoml", "starlette", "pydicom-data", "uvicorn"} <= set(closure)
    assert "torch" not in closure


def test_a_gpl_decoder_would_be_refused() -> None:
    assert STRONG_COPYLEFT.search("GPL V3.0")
    assert STRONG_COPYLEFT.search("License :: OSI Approved :: GNU Affero General Public License v3")
    assert not STRONG_COPYLEFT.search("MPL-2.0")
