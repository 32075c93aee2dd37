import zlib

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    MPEG2MPML,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from serving.archive.errors import InstanceRefusedError, Refusal
from serving.archive.header import read_instance_header
from tests.instance_samples import encoded, instance


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_reads_what_the_index_holds(syntax: UID) -> None:
    dataset = instance(NumberOfFrames=2, StudyDescription="Head", PatientAge="004Y")
    header = read_instance_header(encoded(dataset, syntax), syntax)
    assert header.study_uid == dataset.StudyInstanceUID
    assert header.sop_instance_uid == dataset.SOPInstanceUID
    assert header.study["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Test^Zhang"}]}
    assert header.instance["00280010"] == {"vr": "US", "Value": [8]}
    assert header.instance["00280008"] == {"vr": "IS", "Value": [2]}
    assert header.routing["00101010"] == {"vr": "AS", "Value": ["004Y"]}


def test_agrees_with_pydicom_on_every_element() -> None:
    dataset = instance(StudyDescription="a\\b", AccessionNumber="", StudyID=" 7 ")
    header = read_instance_header(encoded(dataset), ExplicitVRLittleEndian)
    theirs = dataset.to_json_dict()
    ours = header.study | header.series | header.instance
    assert len(ours) > 10
    for key, element in ours.items():
        if key not in ("00081030", "00200010"):  # pydicom keeps spaces and a backslash in one text
            assert element == theirs[key], key


@pytest.mark.parametrize(
    ("character_set", "name", "groups"),
    [
        ("GB18030", "Wang^Dong=王^东", {"Alphabetic": "Wang^Dong", "Ideographic": "王^东"}),
        ("ISO_IR 192", "张^伟", {"Alphabetic": "张^伟"}),
        (
            ["", "ISO 2022 IR 58"],
            "Zhang^Wei=张^伟",
            {"Alphabetic": "Zhang^Wei", "Ideographic": "张^伟"},
        ),
    ],
)
def test_chinese_names_survive(
    character_set: str | list[str], name: str, groups: dict[str, str]
) -> None:
    dataset = instance(SpecificCharacterSet=character_set, PatientName=name)
    header = read_instance_header(encoded(dataset), ExplicitVRLittleEndian)
    assert header.study["00100010"]["Value"] == [groups]


def test_deflated_is_read() -> None:
    plain = encoded(instance())
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = deflater.compress(plain) + deflater.flush()
    read_instance_header(data, DeflatedExplicitVRLittleEndian)


def test_a_value_that_breaks_its_representation_hides_no_other() -> None:
    dataset = instance()
    data = encoded(dataset).replace(b"IS\x02\x001 ", b"IS\x02\x00x ")
    header = read_instance_header(data, ExplicitVRLittleEndian)
    assert header.instance["00200013"] == {"vr": "IS"}
    assert header.instance["00280010"]["Value"] == [8]


@pytest.mark.parametrize("cut", [10, 100, 200, -1, -64])
def test_what_is_cut_off_is_refused(cut: int) -> None:
    with pytest.raises(InstanceRefusedError) as caught:
        read_instance_header(encoded(instance())[:cut], ExplicitVRLittleEndian)
    assert caught.value.refusal is Refusal.NOT_UNDERSTOOD


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
@pytest.mark.parametrize("value", [None, "../../etc/passwd", "1.2.3; DROP", "1." * 40 + "1"])
def test_what_is_no_uid_is_refused(keyword: str, value: str | None) -> None:
    dataset = instance()
    data = encoded(dataset)
    uid = str(dataset[keyword].value).encode()
    replacement = (value or "").encode()[: len(uid)].ljust(len(uid), b" ")
    if value is not None and len(value) > len(uid):
        pytest.skip("longer than what it replaces")
    with pytest.raises(InstanceRefusedError, match=keyword):
        read_instance_header(data.replace(uid, replacement), ExplicitVRLittleEndian)


def test_a_transfer_syntax_that_is_not_decoded_is_refused() -> None:
    with pytest.raises(InstanceRefusedError) as caught:
        read_instance_header(encoded(instance()), MPEG2MPML)
    assert caught.value.refusal is Refusal.SYNTAX_NOT_READ


def test_sequences_of_both_lengths_are_walked_over() -> None:
    dataset = instance()
    item = Dataset()
    item.CodeValue = "1"
    inner = Dataset()
    inner.CodeValue = "2"
    item.AnatomicRegionModifierSequence = [inner]
    dataset.AnatomicRegionSequence = [item]
    for defined in (False, True):
        dataset["AnatomicRegionSequence"].is_undefined_length = not defined
        item["AnatomicRegionModifierSequence"].is_undefined_length = not defined
        header = read_instance_header(encoded(dataset), ExplicitVRLittleEndian)
        assert header.instance["00280010"]["Value"] == [8]


def test_sequences_without_end_are_refused() -> None:
    deep = b"\x08\x00\x18\x22SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 5000
    with pytest.raises(InstanceRefusedError):
        read_instance_header(deep, ExplicitVRLittleEndian)


@pytest.mark.filterwarnings("ignore:The value length")
def test_a_value_of_impossible_length_is_not_kept_in_memory() -> None:
    dataset = instance(StudyDescription="x" * 70_000, StudyID="S-1")
    syntax = ImplicitVRLittleEndian
    header = read_instance_header(encoded(dataset, syntax), syntax)
    assert "00081030" not in header.study
    assert header.study["00200010"] == {"vr": "SH", "Value": ["S-1"]}
