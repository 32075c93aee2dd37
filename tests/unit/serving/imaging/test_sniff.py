import pytest

from models.errors import UnreadableImageError
from serving.imaging.sniff import SourceFormat, identify_format


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"\0" * 128 + b"DICM", SourceFormat.DICOM, id="preamble"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + b"\0" * 200, SourceFormat.PNG, id="png"),
        pytest.param(b"\xff\xd8\xff\xe0", SourceFormat.JPEG, id="jpeg"),
        pytest.param(b"\x08\x00\x05\x00CS\x0a\x00", SourceFormat.DICOM, id="bare explicit"),
        pytest.param(b"\x08\x00\x05\x00\x0a\0\0\0", SourceFormat.DICOM, id="bare implicit"),
        pytest.param(b"\x00\x08\x00\x05CS\x00\x0a", SourceFormat.DICOM, id="bare big endian"),
    ],
)
def test_format_is_told_by_content(data: bytes, expected: SourceFormat) -> None:
    assert identify_format(data) is expected


@pytest.mark.parametrize(
    ("data", "named"),
    [
        pytest.param(b"", "the input is empty", id="empty"),
        pytest.param(b"%PDF-1.7", "a PDF document", id="pdf"),
        pytest.param(b"PK\x03\x04....", "a ZIP archive", id="zip"),
        pytest.param(b"II*\x00....", "a TIFF image", id="tiff"),
        pytest.param(b"<html></html>", "an XML or HTML document", id="html"),
        pytest.param(
            b"\x08\x00\x05\x00\xff\xff\xff\xff", "8 bytes of no known", id="absurd length"
        ),
        pytest.param(b"DICM", "4 bytes of no known format", id="prefix without preamble"),
    ],
)
def test_anything_else_is_named_and_refused(data: bytes, named: str) -> None:
    with pytest.raises(UnreadableImageError, match="expected a DICOM, PNG or JPEG") as caught:
        identify_format(data)

    assert named in str(caught.value)
    assert "应为 DICOM、PNG 或 JPEG" in caught.value.text.zh


def test_what_was_sent_instead_is_named_in_chinese_too() -> None:
    said = set()
    for data in (b"", b"%PDF-1.7", b"PK\x03\x04....", b"DICM"):
        with pytest.raises(UnreadableImageError) as caught:
            identify_format(data)
        said.add(caught.value.text.zh)

    assert len(said) == 4


def test_content_of_an_unknown_file_is_not_repeated() -> None:
    with pytest.raises(UnreadableImageError) as caught:
        identify_format(b"Wang^Xiaoming 13800000000")

    assert "Wang" not in str(caught.value)
