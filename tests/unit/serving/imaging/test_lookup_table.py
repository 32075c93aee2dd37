import numpy as np
import pytest
from pydicom.dataset import Dataset

from serving.imaging.lookup_table import read_table


def _item(descriptor: object, data: object, *, words: bool = False) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", descriptor)
    item.add_new("LUTData", "OW" if words else "US", data)
    return item


def test_inputs_outside_the_table_take_its_ends() -> None:
    table = read_table(_item([3, 100, 12], [10, 2000, 4095]), signed=False)

    assert table is not None
    values = np.array([-5, 99, 100, 101, 102, 103, 9999])
    assert table.apply(values).tolist() == [10, 10, 10, 2000, 4095, 4095, 4095]


def test_zero_entries_stand_for_65536() -> None:
    data = np.arange(65_536, dtype="<u2").tobytes()

    table = read_table(_item([0, 0, 16], data, words=True), signed=False)

    assert table is not None
    assert table.apply(np.array([0, 65_535])).tolist() == [0, 65_535]


def test_first_input_is_negative_for_signed_values() -> None:
    table = read_table(_item([2, 65_436, 8], [1, 2]), signed=True)

    assert table is not None
    assert table.first == -100


def test_entries_of_eight_bits_may_be_packed_in_bytes() -> None:
    table = read_table(_item([4, 0, 8], b"\x01\x02\x03\x04", words=True), signed=False)

    assert table is not None
    assert table.entries.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(Dataset(), id="empty"),
        pytest.param(_item([4, 0], [1, 2, 3, 4]), id="short descriptor"),
        pytest.param(_item([4, 0, 17], [1, 2, 3, 4]), id="bits"),
        pytest.param(_item([5, 0, 8], [1, 2, 3, 4]), id="too few entries"),
    ],
)
def test_malformed_table_is_not_used(item: Dataset) -> None:
    assert read_table(item, signed=False) is None
