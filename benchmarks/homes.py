"""Folders of their own for what measured services record."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from models import store


@contextlib.contextmanager
def own_home(folder: Path) -> Iterator[None]:
    """Keep what the measured services record out of the installation's own records.

    Records, keys and the audit anchor belong together, so all of them are kept in `folder`; the
    packages are those of the installation.
    """
    packages = store.home().resolve() / "models"
    (folder / "models").symlink_to(packages, target_is_directory=True)
    before = dict(os.environ)
    os.environ["ZHUZHEN_HOME"] = str(folder)
    os.environ.pop("ZHUZHEN_DATABASE_URL", None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
