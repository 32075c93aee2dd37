"""No secret is in what is committed, and with it in what is shipped."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Written in parts, so that this file does not hold what it looks for.
SECRETS = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE " + r"KEY-----"),
    "a key of a program": re.compile(r"\bzz_[0-9a-f]{16}_[A-Za-z0-9_-]{43}\b"),
    "a master key": re.compile(r"MASTER_KEY\W{1,4}[A-Za-z0-9+/]{43}="),
    "a token": re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\."),
    "a cloud credential": re.compile(r"\bAKIA[0-9A-Z]{16}\b"),
    "a sealed value": re.compile(r"\bzs1\.[0-9a-f]{16}\.[\w-]{40,}"),
}


def committed() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listing.returncode != 0:
        pytest.skip("not a git checkout: there is no list of tracked files")
    return [ROOT / name for name in listing.stdout.decode().split("\0") if name]


def secrets_in(text: str) -> list[str]:
    return [what for what, pattern in SECRETS.items() if pattern.search(text)]


def test_nothing_committed_holds_a_secret() -> None:
    found = {
        path.relative_to(ROOT).as_posix(): secrets
        for path in committed()
        if path.is_file()
        and path.suffix not in {".onnx", ".npz", ".png", ".dcm", ".ttf", ".otf", ".parquet"}
        and (secrets := secrets_in(path.read_bytes().decode("utf-8", "replace")))
    }
    assert not found


@pytest.mark.parametrize(
    "written",
    [
        "-----BEGIN PRIVATE " + "KEY-----",
        "zz_" + "0123456789abcdef" + "_" + "A" * 43,
        "ZHUZHEN_MASTER_KEY=" + "A" * 43 + "=",
        "eyJhbGciOiJub25lIn0" + ".eyJzdWIiOiJ4In0abc.",
        "AKIA" + "ABCDEFGHIJKLMNOP",
    ],
)
def test_a_secret_would_be_found(written: str) -> None:
    assert secrets_in(f"before {written} after")


def test_no_secret_goes_into_the_bento() -> None:
    bento = (ROOT / "bentofile.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r'- "(\w+)/\*\*"', bento)) == {"serving", "models"}
