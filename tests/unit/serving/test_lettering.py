import numpy as np
import pytest
from PIL import Image, ImageDraw

from models.fact_words import AGE_SOURCES, FACT_NAMES, UNITS, VALUE_WORDS
from models.findings import Decision, Verdict
from serving.answers import NOTICE
from serving.finding_words import DECISION_WORDS, VERDICT_WORDS
from serving.lettering import draw_text, text_width_px, wrap


def drawn(text: str) -> np.ndarray:
    picture = Image.new("RGB", (400, 40))
    draw_text(ImageDraw.Draw(picture), (0, 5), text, 18, (255, 255, 255))
    return np.asarray(picture.convert("L"))


def test_every_chinese_word_of_the_service_has_its_own_shape() -> None:
    words = [NOTICE.zh, *(VERDICT_WORDS[verdict].zh for verdict in Verdict)]
    words += [DECISION_WORDS[decision].zh for decision in Decision]
    words += [each.zh for table in (FACT_NAMES, UNITS, VALUE_WORDS) for each in table.values()]
    words += [each.zh for each in AGE_SOURCES.values()]
    missing = drawn("\U0002a6d6")  # an ideograph that the font does not have
    for character in set("".join(words)) - {" "}:
        assert not np.array_equal(drawn(character), missing), character


def test_mixed_text_is_as_wide_as_its_parts() -> None:
    parts = text_width_px("概率", 18) + text_width_px(" 0.93", 18)
    assert text_width_px("概率 0.93", 18) == pytest.approx(parts)
    columns = np.flatnonzero(drawn("概率 0.93").max(axis=0))
    assert columns.max() <= text_width_px("概率 0.93", 18) + 1


def test_no_line_is_wider_than_asked_and_none_begins_with_punctuation() -> None:
    lines = wrap(NOTICE.zh, 18, 200)
    assert "".join(lines) == NOTICE.zh
    assert len(lines) > 3
    assert all(text_width_px(line, 18) <= 200 + 18 for line in lines)
    assert not any(line[0] in "，。；" for line in lines)


def test_english_breaks_at_spaces() -> None:
    lines = wrap(NOTICE.en, 18, 200)
    assert " ".join(lines) == NOTICE.en
    assert all(text_width_px(line, 18) <= 200 for line in lines)


def test_empty_text_has_no_lines() -> None:
    assert wrap("", 18, 200) == []
