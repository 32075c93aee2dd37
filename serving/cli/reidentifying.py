"""`zhuzhen dicom reidentify`: the way back from a pseudonym, for the holder of the key."""

from collections.abc import Mapping
from getpass import getpass
from pathlib import Path

import typer
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydicom.dataset import Dataset

from models.deidentification import reidentify
from models.errors import ZhuzhenError
from serving.access import open_guard
from serving.answers import write_json
from serving.archive.patients import patient_of
from serving.cli.operating import permit
from serving.cli.rows import show_rows
from serving.identity.local import LOCAL
from serving.policy import Action, Target


class WayBackError(ZhuzhenError, ValueError):
    """Certificate and private key are not a pair that opens anything."""


def show_originals(file: Path, certificate_file: Path, key_file: Path, *, as_json: bool) -> None:
    """Show what a de-identified object said before, once it is on record whose it is.

    Raises:
        DeidentificationError: it holds no original values that the key opens.
        WayBackError: certificate or key cannot be read.
        NotPermittedError: that it is done cannot be recorded.
    """
    certificate, key = _certificate(certificate_file), _key(key_file)
    originals = reidentify(file.read_bytes(), certificate, key)
    with open_guard() as guard:
        patient = patient_of(LOCAL, originals.to_json_dict(), guard.keyring)
        target = Target("image", LOCAL, patient)
        permit(guard, "dicom.reidentify", Action.READ_IMAGES, target)
    if as_json:
        typer.echo(write_json(originals.to_json_dict()))
        return
    show_rows(list(_rows(originals)), ("tag", "attribute", "value"), as_json=False)


def _rows(originals: Dataset) -> list[Mapping[str, object]]:
    return [
        {"tag": str(each.tag), "attribute": each.name, "value": str(each.value)}
        for each in originals
    ]


def _certificate(file: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except ValueError:
        raise WayBackError(
            f"{file} is no certificate in PEM; give the `recipient_file` of the destination."
        ) from None


def _key(file: Path) -> rsa.RSAPrivateKey:
    content = file.read_bytes()
    passphrase = None
    if b"ENCRYPTED" in content:
        passphrase = getpass(f"Passphrase of {file}: ").encode()
    try:
        key = load_pem_private_key(content, passphrase)
    except (TypeError, ValueError):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise WayBackError(
            f"{file} is no RSA private key in PEM that the passphrase opens; give the one that the "
            "certificate was made for."
        )
    return key
