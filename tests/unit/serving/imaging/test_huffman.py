import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import UnreadableImageError
from serving.imaging.huffman import build_table, read_differences

# The 17 categories with 16 codes of 5 bits and one of 6, none of them all ones.
COUNTS, SYMBOLS = bytes([0, 0, 0, 0, 16, 1] + [0] * 10), bytes(range(17))
TABLE = build_table(COUNTS, SYMBOLS)
# The same symbols the other way round, so that a mistaken table shows.
REVERSED = build_table(COUNTS, SYMBOLS[::-1])


def _code(difference: int, *, is_reversed: bool = False) -> str:
    """The bits of a difference, after F.1.2.1 and H.1.2.2."""
    category = abs(difference).bit_length()
    index = 16 - category if is_reversed else category
    prefix = f"{index:05b}" if index < 16 else "100000"
    if category in (0, 16):
        return prefix
    value = difference if difference > 0 else difference + (1 << category) - 1
    return prefix + f"{value:0{category}b}"


def _packed(bits: str) -> bytes:
    padded = bits + "1" * (-len(bits) % 8)
    return bytes(int(padded[i : i + 8], 2) for i in range(0, len(padded), 8))


DIFFERENCES = st.lists(st.integers(-32_767, 32_768), min_size=1, max_size=200)


@given(DIFFERENCES)
def test_differences_come_back(differences: list[int]) -> None:
    data = _packed("".join(map(_code, differences)))

    assert read_differences(data, [TABLE], len(differences)).tolist() == differences


@given(DIFFERENCES)
def test_tables_take_turns(differences: list[int]) -> None:
    differences = [*differences, *differences]
    bits = (_code(d, is_reversed=index % 2 == 1) for index, d in enumerate(differences))

    decoded = read_differences(_packed("".join(bits)), [TABLE, REVERSED], len(differences))

    assert decoded.tolist() == differences


def test_chunks_join() -> None:
    rng = np.random.default_rng(7)
    differences = rng.integers(-32_767, 32_769, 150_000).tolist()
    data = _packed("".join(map(_code, differences)))
    assert len(data) > 1 << 18

    assert read_differences(data, [TABLE], len(differences)).tolist() == differences


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_missing_data_are_refused(kept: int) -> None:
    data = _packed("".join(map(_code, [1000] * 8)))

    with pytest.raises(UnreadableImageError, match="data end before its pixels"):
        read_differences(data[:kept], [TABLE], 8)


def test_code_outside_the_table_is_refused() -> None:
    with pytest.raises(UnreadableImageError, match="not in its table"):
        read_differences(b"\xff" * 40, [TABLE], 8)


@pytest.mark.parametrize(
    ("counts", "symbols"),
    [
        pytest.param(bytes([3] + [0] * 15), bytes(3), id="more codes than bits"),
        pytest.param(bytes([0, 1] + [0] * 14), b"\x11", id="category above 16"),
    ],
)
def test_malformed_table_is_refused(counts: bytes, symbols: bytes) -> None:
    with pytest.raises(UnreadableImageError, match="Huffman table is malformed"):
        build_table(counts, symbols)
