"""The allow-list of record systems: what it says, and how it tells what it cannot."""

from pathlib import Path

import pytest

from serving.identity.cds_clients import CdsClientsError, parse_cds_clients, read_cds_clients

KEY = '{"kty": "EC", "crv": "P-256", "kid": "1", "x": "%s", "y": "%s"}' % (  # noqa: UP031
    "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
)
"""The public key of RFC 7515, A.3."""

GOOD = f"""
base_urls: [https://zz.hospital.example/]
clients:
  - name: county-ehr
    issuer: https://ehr.county.example
    institution: county
    jku: https://ehr.county.example/jwks.json
  - name: cloud-ehr
    issuer: https://cloud.example
    tenants: {{2024: village, abc: county}}
    keys: [{KEY}]
"""


def test_what_it_says() -> None:
    found = parse_cds_clients(GOOD)

    assert found.base_urls == ("https://zz.hospital.example",)
    assert found.institutions == {"county", "village"}
    assert found.by_issuer["https://ehr.county.example"].institution == "county"
    assert found.by_issuer["https://cloud.example"].tenants == {"2024": "village", "abc": "county"}


def test_without_a_file_nobody_is_listed(tmp_path: Path) -> None:
    assert not read_cds_clients({}, tmp_path).by_issuer
    assert not parse_cds_clients("# nobody yet\n").by_issuer
    with pytest.raises(CdsClientsError, match="ZHUZHEN_CDS_CLIENTS"):
        read_cds_clients({"ZHUZHEN_CDS_CLIENTS": str(tmp_path / "none.yaml")})


def client(**changes: str) -> str:
    told = {
        "name": "a",
        "issuer": "https://a.example",
        "institution": "county",
        "jku": "https://a.example/keys",
    } | changes
    return "\n    ".join(f"{name}: {value}" for name, value in told.items() if value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("clients: [", "line 1: this is not YAML"),
        ("clients: 3", "clients: 3 is not of type"),
        ("issuers: []", "Additional properties"),
        (f"clients:\n  - {client(name='A B')}", "name"),
        (f"clients:\n  - {client(issuer='')}", "'issuer' is a required property"),
        (f"clients:\n  - {client(institution='')}", "either institution or tenants"),
        (f"clients:\n  - {client(tenants='{x: county}')}", "either institution or tenants"),
        (f"clients:\n  - {client(jku='')}", "jku, the https address of its keys, or keys"),
        (f"clients:\n  - {client(jku='http://a.example/keys')}", "not an https address"),
        (f"clients:\n  - {client(jku='https://a.example')}", "not an https address"),
        (f"clients:\n  - {client()}\n  - {client()}", "two clients have the name a"),
        (f"clients:\n  - {client()}\n  - {client(name='b')}", "two clients have the issuer"),
        (f"clients:\n  - {client(keys='[{kty: EC, kid: a, d: x}]')}", "private or shared key"),
        (f"clients:\n  - {client(keys='[{kty: oct, kid: a}]')}", "private or shared key"),
        (f"clients:\n  - {client(keys='[{kty: EC, kid: a}]')}", "no usable public key"),
        (f"clients:\n  - {client(keys='[{kty: EC}]')}", "'kid' is a required property"),
        ("base_urls: [zz.example]", "base_urls / 0"),
    ],
)
def test_what_cannot_be_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(CdsClientsError, match=told) as error:
        parse_cds_clients(text)
    assert str(error.value).startswith("cds-clients.yaml")
