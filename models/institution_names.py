"""What institutions are called, for reports that are made without the records.

`ZHUZHEN_HOME/monitoring/institutions.json`, by the service's own id of each; the service replaces
it whole. Names of institutions alone, never of people.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from models.findings import Text
from models.store import home


def write_names(names: Mapping[str, Text]) -> None:
    """Replace the names by `names`, from one moment to the next."""
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    content = {institution: asdict(name) for institution, name in names.items()}
    part.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    part.replace(path)


def read_names() -> dict[str, Text]:
    """Return the name of each institution; none where the file is absent or spoilt."""
    try:
        content = json.loads(_path().read_text(encoding="utf-8"))
        return {institution: Text(**name) for institution, name in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _path() -> Path:
    return home() / "monitoring" / "institutions.json"
