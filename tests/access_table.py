"""The table of docs/security.md: what is expected, written by people, apart from the code's own."""

import re
from pathlib import Path

from serving.policy import Action, Relation, Role

PAGE = Path(__file__).resolve().parents[1] / "docs" / "security.md"
LETTERS = {
    "O": Relation.OWN,
    "R": Relation.REFERRED,
    "S": Relation.SHARED,
    "E": Relation.EMERGENCY,
    "N": Relation.NONE,
    "I": Relation.INSTALLATION,
}
_COLUMNS = (
    Role.PRIMARY_CLINICIAN,
    Role.SPECIALIST,
    Role.ML_ENGINEER,
    Role.ADMINISTRATOR,
    Role.AUDITOR,
    Role.SYSTEM,
)
Expected = dict[tuple[Action, Role], frozenset[Relation]]


def expected_access() -> Expected:
    """Relations in which each role may do each action."""
    found: Expected = {}
    for action, cells in re.findall(r"^\| `(\w+)` \|(.*)\|$", PAGE.read_text("utf-8"), re.M):
        for role, cell in zip(_COLUMNS, cells.split("|"), strict=True):
            found[Action(action), role] = frozenset(LETTERS[letter] for letter in cell.strip())
    return found
