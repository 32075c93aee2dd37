"""What the pages name exists, and what exists is named in the pages."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from serving.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def console_commands(command: object, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Every command that can be run, as it is typed, without the groups themselves."""
    if isinstance(command, TyperGroup):
        for name, member in command.commands.items():
            yield from console_commands(member, (*path, name))
    else:
        yield " ".join(path)


COMMANDS = sorted(console_commands(get_command(app)))
MAKE_TARGETS = re.findall(
    r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE
)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_documented(command: str) -> None:
    assert re.search(rf"zhuzhen {command}\b", TEXT), f"no page names: zhuzhen {command}"


def test_documented_commands_exist() -> None:
    named = re.findall(r"(?:^|`)zhuzhen ([a-z]+)(?: ([a-z][a-z-]*))?", TEXT, flags=re.MULTILINE)
    assert named
    # A second word may be an argument, such as the name of a model.
    assert not {words for words in named if not {words[0], " ".join(words)} & set(COMMANDS)}


@pytest.mark.parametrize("target", MAKE_TARGETS)
def test_make_target_is_documented(target: str) -> None:
    assert re.search(rf"\bmake {target}\b", TEXT), f"no page names: make {target}"


def test_documented_make_targets_exist() -> None:
    named = set(re.findall(r"^make ([a-z]+)|`make ([a-z]+)", TEXT, flags=re.MULTILINE))
    assert {first or second for first, second in named} <= set(MAKE_TARGETS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert not [target for target in targets if not (page.parent / target).exists()]
