"""Where model packages lie: those released with the service, then those of `ZHUZHEN_HOME`.

`<name>/aliases.json` under `ZHUZHEN_HOME/models` says which version an alias means, and with which
digest: it is what a promotion or a rollback changes, whole and at once, and what a running service
follows.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from models.errors import PackageInvalidError, PackageNotFoundError, PackageTamperedError
from models.package import RECALIBRATION, ModelPackage

RELEASED = Path(__file__).parent / "released"
CHAMPION = "champion"
"""Alias of the version that answers where none is named."""
CHALLENGER = "challenger"
"""Alias of the version that is compared with the champion."""
_ALIASES = "aliases.json"
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


@dataclass(frozen=True, slots=True)
class Stated:
    """What an alias means."""

    version: str
    digest: str
    """`sha256:` and the digest of the package's SHA256SUMS."""


def aliases(name: str) -> Mapping[str, Stated]:
    """Return what each alias of the model `name` means; empty where none was ever pulled.

    Raises:
        PackageInvalidError: the file that says so cannot be read.
    """
    if not _NAME.fullmatch(name):
        return {}
    path = home() / "models" / name / _ALIASES
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {alias: Stated(**stated) for alias, stated in content.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise PackageInvalidError(
            f"models/{name}/{_ALIASES} cannot be read; pull the model again."
        ) from error


def set_alias(name: str, alias: str, stated: Stated | None) -> None:
    """Let `alias` of the model `name` mean `stated`, or nothing, from one moment to the next."""
    content = {key: asdict(each) for key, each in aliases(name).items() if key != alias}
    if stated is not None:
        content[alias] = asdict(stated)
    path = home() / "models" / name / _ALIASES
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{_ALIASES}.part")
    part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    part.replace(path)


def stated(model: str) -> Stated | None:
    """Return what `name` or `name@alias` means by its aliases; None for an exact version."""
    name, _, asked = model.partition("@")
    return aliases(name).get(asked or CHAMPION)


def find(model: str) -> Path:
    """Return the folder of `name`, of `name@alias` or of `name@version`.

    A name alone is its champion or, where none was ever pulled, its newest version.

    Raises:
        PackageNotFoundError: naming what is there.
    """
    name, _, version = model.partition("@")
    meant = stated(model)
    version = meant.version if meant else version
    known = versions()
    if name not in known:
        raise PackageNotFoundError(
            f"There is no model {name!r}; known models: {', '.join(sorted(known)) or 'none'}."
        )
    chosen = version or max(known[name], key=order)
    if chosen not in known[name]:
        raise PackageNotFoundError(
            f"Model {name} has no version {chosen!r}; known versions: "
            f"{', '.join(sorted(known[name], key=order))}."
        )
    return known[name][chosen]


def load(model: str) -> ModelPackage:
    """Find, verify and read a package; see `find` and `ModelPackage.load` for further errors.

    Raises:
        PackageInvalidError: the package is not the one that its folder is named after.
        PackageTamperedError: it is intact, but not the one that the alias means.
    """
    meant, folder = stated(model), find(model)
    if (folder / RECALIBRATION).is_file():
        raise PackageInvalidError(
            f"{folder.parent.name} is no model of images or of people but a recalibrated risk "
            f"score; `zhuzhen risk show {folder.parent.name}` tells what it is."
        )
    package = ModelPackage.load(folder)
    if meant is not None and package.reference_to.digest != meant.digest:
        raise PackageTamperedError(
            f"{folder.parent.name} {folder.name} has the digest {package.reference_to.digest}, "
            f"{model} means {meant.digest}; it is not loaded, pull it again."
        )
    says = (package.reference_to.name, package.reference_to.version)
    if says != (folder.parent.name, folder.name):
        # Who asks for a version must not be answered by another one.
        raise PackageInvalidError(
            f"The package in {folder.parent.name}/{folder.name} says that it is "
            f"{says[0]} {says[1]}; expected the name and version of its folder. Move it to "
            f"{says[0]}/{says[1]}."
        )
    return package


def order(version: str) -> tuple[int, ...]:
    """Return what the versions of a model are sorted by, the oldest first."""
    return tuple(int(part) for part in version.split("."))
