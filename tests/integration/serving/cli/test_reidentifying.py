"""The way back from a pseudonym, as the holder of the key goes it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from models.deidentification import Deidentifier
from serving.audit.opening import audit_engine
from serving.audit.queries import Criteria, find_events
from serving.cli.app import app
from serving.privacy import open_keyring, pseudonym_of
from tests.instance_samples import file_of, instance

NUMBER, NAME = "HOSP-4711", "Zhao^Er=赵^二"


def pair(folder: Path, name: str) -> tuple[str, str]:
    """A certificate and its key in files, as the options of the command."""
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, SHA256())
    )
    files = folder / f"{name}.pem", folder / f"{name}.key"
    files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return f"--certificate={files[0]}", f"--key={files[1]}"


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A de-identified image with the way back for `holder`."""
    monkeypatch.setenv("ZHUZHEN_HOME", str(tmp_path / "home"))
    pair(tmp_path, "holder")
    certificate = x509.load_pem_x509_certificate((tmp_path / "holder.pem").read_bytes())
    source = file_of(
        instance(PatientID=NUMBER, PatientName=NAME, SpecificCharacterSet="ISO_IR 192")
    )
    file = tmp_path / "image.dcm"
    file.write_bytes(Deidentifier(b"s" * 32, recipient=certificate).deidentify(source).data)
    assert NUMBER.encode() not in file.read_bytes()
    return file


def test_the_holder_sees_whose_it_is_and_it_is_on_record(image: Path) -> None:
    options = (f"--certificate={image.parent}/holder.pem", f"--key={image.parent}/holder.key")
    shown = CliRunner().invoke(app, ["dicom", "reidentify", str(image), *options])
    assert shown.exit_code == 0, shown.output
    assert NUMBER in shown.stdout
    assert "赵^二" in shown.stdout
    told = CliRunner().invoke(app, ["dicom", "reidentify", str(image), *options, "--json"])
    assert json.loads(told.stdout)["00100020"]["Value"] == [NUMBER]
    patient = pseudonym_of(open_keyring(), "local", NUMBER)
    with audit_engine() as engine, engine.connect() as connection:
        events = list(find_events(connection, Criteria(patient)))
    assert [event.operation for event in events] == ["cli:dicom.reidentify"] * 2


def test_another_key_opens_nothing(image: Path) -> None:
    options = pair(image.parent, "other")
    refused = CliRunner().invoke(app, ["dicom", "reidentify", str(image), *options])
    assert refused.exit_code != 0
    assert "no original values that this key opens" in str(refused.exception)


def test_what_is_no_key_is_told(image: Path) -> None:
    certificate, _ = pair(image.parent, "other")
    refused = CliRunner().invoke(
        app, ["dicom", "reidentify", str(image), certificate, f"--key={image}"]
    )
    assert "is no RSA private key" in str(refused.exception)
