"""The rules of the house that neither the linter nor the type checker can hold."""

import ast
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("models", "datasets", "training", "serving")
CODE_FOLDERS = (*PACKAGES, "benchmarks")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40
TRAINING_LIBRARIES = {"torch", "monai", "mlflow", "datasets", "training"}

# Which extras' third-party packages each folder's code may import, beside the base installation.
EXTRAS_OF = {
    "models": (),
    "serving": ("population", "scale"),
    "datasets": ("train",),
    "training": ("train",),
    "benchmarks": ("train", "bench", "demo"),
}


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name_of(path: object) -> str:
    return path.relative_to(ROOT).as_posix() if isinstance(path, Path) else str(path)


def declared_packages(*extras: str) -> set[str]:
    """Names of the distributions that the base installation and these extras ask for."""
    wanted = [*PROJECT["dependencies"]]
    for extra in extras:
        wanted += PROJECT["optional-dependencies"][extra]
    return {canonicalize_name(Requirement(line).name) for line in wanted}


def pins() -> dict[str, str]:
    """Every line of the constraints file as name and version; each must be an exact pin."""
    found: dict[str, str] = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            assert re.fullmatch(r"[\w.-]+==[\w.!]+", line), f"not an exact pin: {line!r}"
            name, _, pinned = line.partition("==")
            assert canonicalize_name(name) not in found, f"pinned twice: {name}"
            found[canonicalize_name(name)] = pinned
    return found


def tracked_files() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listing.returncode != 0:
        pytest.skip("not a git checkout: there is no list of tracked files")
    names = listing.stdout.decode().split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("package", PACKAGES)
def test_package_name_is_ours_alone(package: str) -> None:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin == str(ROOT / package / "__init__.py")
    owners = set(packages_distributions().get(package, []))
    assert owners <= {"zhuzhen"}, f"{package} is also provided by {owners - {'zhuzhen'}}"


def test_service_loads_no_training_library() -> None:
    program = """
import importlib, json, pkgutil, sys
import models, serving
for package in (models, serving):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
print(json.dumps(sorted(sys.modules)))
"""
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    loaded = set(json.loads(run.stdout.splitlines()[-1]))
    on_disk = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in python_files("models", "serving")
        if path.stem not in ("__init__", "__main__")
        # Run by Alembic in its own way, not imported.
        and "migrations" not in path.parts
    }
    assert on_disk <= loaded, "these modules were not imported, so nothing was shown about them"
    assert not TRAINING_LIBRARIES & {name.partition(".")[0] for name in loaded}


@pytest.mark.parametrize("path", python_files(*CODE_FOLDERS, "tests"), ids=name_of)
def test_file_is_short_enough_to_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE_LINES


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function from its ``def`` to its end, docstring not counted."""
    assert function.end_lineno is not None
    total = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function, clean=False) is not None:
        docstring = function.body[0]
        assert docstring.end_lineno is not None
        total -= docstring.end_lineno - docstring.lineno + 1
    return total


@pytest.mark.parametrize(
    "path",
    # A migration is a table of columns, written once.
    [path for path in python_files(*CODE_FOLDERS) if "migrations" not in path.parts],
    ids=name_of,
)
def test_functions_are_short_enough_to_read(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    too_long = {
        f"{node.name} (line {node.lineno})": body_lines(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and body_lines(node) > MAX_FUNCTION_LINES
    }
    assert not too_long


def test_a_long_function_would_be_found() -> None:
    source = 'def f():\n    """One\n    two."""\n' + "    x = 1\n" * MAX_FUNCTION_LINES
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    assert body_lines(function) == MAX_FUNCTION_LINES + 1


@pytest.mark.parametrize("path", python_files(*CODE_FOLDERS), ids=name_of)
def test_module_is_named_for_its_subject(path: Path) -> None:
    assert not {"utils", "util", "common", "helpers", "misc"} & set(
        path.relative_to(ROOT).with_suffix("").parts
    )


def imported_names(path: Path) -> Iterator[str]:
    """First part of every absolute import in a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("folder", CODE_FOLDERS)
def test_imports_are_declared_dependencies(folder: str) -> None:
    owners = packages_distributions()
    declared = declared_packages(*EXTRAS_OF[folder])
    undeclared = {
        f"{name_of(path)}: {name}"
        for path in python_files(folder)
        for name in imported_names(path)
        if name not in sys.stdlib_module_names
        and name not in CODE_FOLDERS
        and not declared & {canonicalize_name(owner) for owner in owners.get(name, [])}
    }
    assert not undeclared


def test_every_declared_dependency_is_pinned() -> None:
    declared = declared_packages(*PROJECT["optional-dependencies"])
    assert not declared - set(pins())


def test_installed_versions_are_the_pinned_ones() -> None:
    installed = {
        canonicalize_name(owner) for owners in packages_distributions().values() for owner in owners
    }
    pinned = pins()
    different = {
        name: f"installed {version(name)}, pinned {pinned[name]}"
        for name in installed & set(pinned)
        # A local version such as 2.13.0+cpu is a build of the pinned release.
        if Version(version(name)).public != pinned[name]
    }
    assert not different


def test_bento_installs_what_the_service_declares() -> None:
    bento = yaml.safe_load((ROOT / "bentofile.yaml").read_text(encoding="utf-8"))
    requirements = [Requirement(line) for line in bento["python"]["packages"]]
    assert {canonicalize_name(r.name) for r in requirements} == declared_packages()
    pinned = pins()
    assert [str(r.specifier) for r in requirements] == [
        f"=={pinned[canonicalize_name(r.name)]}" for r in requirements
    ]


def test_changelog_has_a_section_for_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## \[([^\]]+)\]", text, flags=re.MULTILINE)
    assert sections[0] == "Unreleased"
    assert PROJECT["version"] in sections


def test_no_file_holds_a_path_of_one_machine() -> None:
    # Written in two parts, so that this file does not hold what it looks for.
    pattern = re.compile(r"(?<![\w.~*/-])/(?:" + r"home|root|tmp|Users|work|mnt)/\w")
    found = [
        f"{name_of(path)}:{number}"
        for path in tracked_files()
        for number, line in enumerate(path.read_bytes().decode("utf-8", "replace").splitlines(), 1)
        if path.suffix in {".py", ".md", ".toml", ".yaml", ".yml", ".json", ".txt", ".ipynb", ""}
        and pattern.search(line)
    ]
    assert not found
