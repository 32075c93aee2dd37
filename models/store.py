"""Where model packages lie: those released with the service, then those of `ZHUZHEN_HOME`."""

import os
import re
from pathlib import Path

from models.errors import PackageInvalidError, PackageNotFoundError
from models.package import ModelPackage

RELEASED = Path(__file__).parent / "released"
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")


def home() -> Path:
    """Return the folder of all local state: `ZHUZHEN_HOME`, by default `./zhuzhen-data`."""
    return Path(os.environ.get("ZHUZHEN_HOME", "zhuzhen-data"))


def roots() -> tuple[Path, ...]:
    """Return the folders that hold packages as `<name>/<version>/`."""
    return (RELEASED, home() / "models")


def versions() -> dict[str, dict[str, Path]]:
    """Return the folder of every package in the store, by name and then by version.

    Where two folders hold the same version, the released one counts: versions are immutable.
    """
    found: dict[str, dict[str, Path]] = {}
    for root in roots():
        for folder in sorted(root.glob("*/*/")):
            if _NAME.fullmatch(folder.parent.name) and _VERSION.fullmatch(folder.name):
                found.setdefault(folder.parent.name, {}).setdefault(folder.name, folder)
    return found


def find(model: str) -> Path:
    """Return the folder of `name` (its newest version) or of `name@version`.

    Raises:
        PackageNotFoundError: naming what is there.
    """
    name, _, version = model.partition("@")
    known = versions()
    if name not in known:
        raise PackageNotFoundError(
            f"There is no model {name!r}; known models: {', '.join(sorted(known)) or 'none'}."
        )
    chosen = version or max(known[name], key=_order)
    if chosen not in known[name]:
        raise PackageNotFoundError(
            f"Model {name} has no version {chosen!r}; known versions: "
            f"{', '.join(sorted(known[name], key=_order))}."
        )
    return known[name][chosen]


def load(model: str) -> ModelPackage:
    """Find, verify and read a package; see `find` and `ModelPackage.load` for further errors.

    Raises:
        PackageInvalidError: the package is not the one that its folder is named after.
    """
    folder = find(model)
    package = ModelPackage.load(folder)
    stated = (package.reference_to.name, package.reference_to.version)
    if stated != (folder.parent.name, folder.name):
        # Who asks for a version must not be answered by another one.
        raise PackageInvalidError(
            f"The package in {folder.parent.name}/{folder.name} says that it is "
            f"{stated[0]} {stated[1]}; expected the name and version of its folder. Move it to "
            f"{stated[0]}/{stated[1]}."
        )
    return package


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
