"""What a PACS lists, where it does not say the same twice."""

from collections.abc import Iterator

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, generate_uid
from pynetdicom import AE, evt

from serving.fetching.dimse import FIND, DimseOrigin
from serving.peers import Peer
from tests.orthanc import free_port


@pytest.mark.parametrize(("empty_answers", "listed"), [(0, 1), (2, 1), (9, 0)])
def test_a_series_that_is_said_to_hold_nothing_is_asked_for_again(
    empty_answers: int, listed: int
) -> None:
    study, series, instance = generate_uid(), generate_uid(), generate_uid()
    asked = 0

    def answer(event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        nonlocal asked
        row = Dataset()
        row.QueryRetrieveLevel = event.identifier.QueryRetrieveLevel
        row.StudyInstanceUID, row.SeriesInstanceUID = study, series
        if row.QueryRetrieveLevel == "IMAGE":
            asked += 1
            if asked <= empty_answers:
                return
            row.SOPInstanceUID, row.SOPClassUID = instance, CTImageStorage
        yield 0xFF00, row

    entity, port = AE("PACS"), free_port()
    entity.add_supported_context(FIND)
    server = entity.start_server(
        ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_FIND, answer)]
    )
    assert server is not None
    try:
        found = DimseOrigin(Peer("PACS", "127.0.0.1", port), 10, None).list_instances(study)
    finally:
        server.shutdown()
    assert [each.sop_instance_uid for each in found] == [instance][:listed]
