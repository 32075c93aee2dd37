"""`zhuzhen doctor` reads what administrators wrote."""

import json
import time
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from serving.check import Check, State
from serving.checked_files import cds_clients, node_file
from tests.certificates import Authority

NODE = """
host: 10.1.0.5
sources:
  - {name: ct, institution: local, ae_title: CT1}
  - name: archive
    institution: local
    fetch: {from: "http://pacs.example/dicom-web", username: reader, password_file: password}
destinations:
  - {name: pacs, to: "PACS@10.1.0.9:104"}
  - {name: safe, to: "PACS@10.1.0.9:2762", tls: true}
  - {name: here, to: "PACS@127.0.0.1:104"}
  - {name: out, to: "folder:out"}
"""


def found(checks: list[Check]) -> list[tuple[State, str]]:
    assert all(check.message.zh and check.message.zh != check.message.en for check in checks)
    return [(check.state, check.message.en) for check in checks]


def look_at_node(home: Path, text: str | bytes) -> list[tuple[State, str]]:
    (home / "node.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    return found(list(node_file(home, {})))


def test_what_is_not_there_is_not_looked_at(tmp_path: Path) -> None:
    assert list(node_file(tmp_path, {})) == list(cds_clients(tmp_path, {})) == []


def test_what_leaves_the_machine_in_clear_is_told(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("not shown")
    told = look_at_node(tmp_path, NODE)
    assert [state for state, _ in told] == [State.WARNING, State.WARNING, State.ERROR]
    assert "images come to 10.1.0.5 without TLS" in told[0][1]
    assert "destination pacs exchanges patients' images with 10.1.0.9" in told[1][1]
    assert "fetch of source archive sends its credential to pacs.example" in told[2][1]
    assert not any("not shown" in text for _, text in told)


def test_a_node_that_keeps_to_tls_is_in_order(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path, "own").issue("node.hospital.example")
    secure = f"tls: {{certificate: {certificate}, key: {key}}}\n"
    text = secure + 'host: 10.1.0.5\ndestinations:\n  - {name: p, to: "P@10.1.0.9:1", tls: true}\n'
    assert [state for state, _ in look_at_node(tmp_path, text)] == [State.OK]
    certificate.write_text("nothing")
    assert look_at_node(tmp_path, text)[0][0] is State.ERROR


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"\xff\xfe", "cannot be read (UnicodeDecodeError)"),
        ("sources: [", "not YAML"),
        ("sorces: []", "'sorces' was unexpected"),
        ('destinations:\n  - {name: p, to: "P@127.0.0.1:1", tsl: true}\n', "has 'tsl', which is"),
        ('destinations:\n  - {name: p, to: "P@127.0.0.1"}\n', "expected AE_TITLE@host:port"),
        (
            'sources:\n  - {name: p, institution: a, fetch: {from: "http://127.0.0.1", x: 1}}\n',
            "fetch has 'x', which is not known",
        ),
    ],
)
def test_what_cannot_be_used_is_told(tmp_path: Path, text: str | bytes, told: str) -> None:
    ((state, message),) = look_at_node(tmp_path, text)
    assert state is State.ERROR
    assert told in message


def test_keys_of_record_systems_that_end(tmp_path: Path) -> None:
    def key(name: str, days: float | None) -> dict[str, object]:
        found: dict[str, object] = {}
        found.update(ECKey.generate_key("P-256", private=False).as_dict(private=False), kid=name)
        if days is not None:
            found["exp"] = int(time.time() + days * 86400)
        return found

    keys = [key("old", -3), key("soon", 10), key("later", 400), key("open", None)]
    client = {"name": "ehr", "issuer": "https://ehr.example", "institution": "local", "keys": keys}
    path = tmp_path / "cds-clients.yaml"
    path.write_text(json.dumps({"clients": [client]}))
    told = found(list(cds_clients(tmp_path, {})))
    assert [(state, text.partition(" on ")[0].partition(" ends")[0]) for state, text in told] == [
        (State.ERROR, "The key ehr, old ended"),
        (State.WARNING, "The key ehr, soon"),
    ]
    path.write_text(json.dumps({"clients": [client | {"isser": "x"}]}))
    ((state, message),) = found(list(cds_clients(tmp_path, {})))
    assert (state, "'isser' was unexpected" in message) == (State.ERROR, True)
    path.write_text("clients: []")
    path.chmod(0o666)
    ((state, message),) = found(list(cds_clients(tmp_path, {})))
    assert (state, "can write cds-clients.yaml" in message) == (State.ERROR, True)
    missing = {"ZHUZHEN_CDS_CLIENTS": str(tmp_path / "nowhere.yaml")}
    assert found(list(cds_clients(tmp_path, missing)))[0][0] is State.ERROR
