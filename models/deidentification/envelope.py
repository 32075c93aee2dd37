"""The way back, for the holder of a key: the original values, encrypted to a certificate.

Encrypted Attributes Sequence (0400,0500) as PS3.15 E.1.1 has it: the original elements as an item
of Modified Attributes Sequence, in a CMS envelope (RFC 5652) that only the certificate's private
key opens. Without a certificate nothing of the source travels with the object.
"""

from io import BytesIO

import pydicom
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import (
    PKCS7EnvelopeBuilder,
    PKCS7Options,
    pkcs7_decrypt_der,
)
from pydicom.dataset import Dataset
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian

from models.deidentification.errors import DeidentificationError


def seal(originals: Dataset, recipient: x509.Certificate) -> Dataset:
    """Return the item of Encrypted Attributes Sequence that holds `originals`."""
    content = Dataset()
    content.SpecificCharacterSet = "ISO_IR 192"
    content.ModifiedAttributesSequence = [originals]
    stream = pydicom.filebase.DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_dataset(stream, content)
    envelope = (
        PKCS7EnvelopeBuilder()
        .set_data(stream.getvalue())
        .set_content_encryption_algorithm(AES256)
        .add_recipient(recipient)
        .encrypt(Encoding.DER, [PKCS7Options.Binary])
    )
    item = Dataset()
    item.EncryptedContentTransferSyntaxUID = ExplicitVRLittleEndian
    item.EncryptedContent = envelope + b"\0" * (len(envelope) % 2)
    return item


def reidentify(data: bytes, certificate: x509.Certificate, key: rsa.RSAPrivateKey) -> Dataset:
    """Return the original elements of a de-identified object.

    Raises:
        DeidentificationError: there is no envelope, or it is for another key.
    """
    dataset = pydicom.dcmread(BytesIO(data), stop_before_pixels=True)
    for item in dataset.get("EncryptedAttributesSequence") or []:
        try:
            content = pkcs7_decrypt_der(_trimmed(item.EncryptedContent), certificate, key, [])
        except ValueError:
            continue
        opened = pydicom.dcmread(BytesIO(content), force=True)
        originals: Dataset = opened.ModifiedAttributesSequence[0]
        return originals
    raise DeidentificationError(
        "The object holds no original values that this key opens. It was de-identified without the "
        "way back, or for another certificate; results hold none: open an image with the same "
        "Patient ID (0010,0020)."
    )


def _trimmed(envelope: bytes) -> bytes:
    """Return the DER structure without the byte that makes its length even (PS3.5 6.2, OB)."""
    size, first = envelope[1], 2
    if size & 0x80:
        first = 2 + (size & 0x7F)
        size = int.from_bytes(envelope[2:first], "big")
    return envelope[: first + size]
