"""The facts that rules of intended use ask for, and their values, in words that doctors know.

Codes: DICOM PS3.3 2026b C.7.3.1.1.1 (Modality) and C.8.7.1.1.6 (View Position), PS3.16 annex L
(Body Part Examined), C.8.11.1 (Presentation Intent Type).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from models.radiograph import AgeSource
from models.text import Text

FACT_NAMES: Mapping[str, Text] = {
    "modality": Text("modality", "成像方式"),
    "body_part": Text("body part", "检查部位"),
    "view_position": Text("view", "投照体位"),
    "age_years": Text("age", "年龄"),
    "frames": Text("number of pictures in the file", "文件中的图像幅数"),
    "presentation_intent": Text("kind of image data", "图像数据类型"),
    "source_format": Text("file format", "文件格式"),
    "rows": Text("image height", "图像高度"),
    "columns": Text("image width", "图像宽度"),
}
"""The facts a rule may name, as people read them."""
UNITS: Mapping[str, Text] = {
    "age_years": Text("years", "岁"),
    "rows": Text("pixels", "像素"),
    "columns": Text("pixels", "像素"),
}
_COUNTED = frozenset({"rows", "columns"})
"""Facts that are whole numbers."""
VALUE_WORDS: Mapping[tuple[str, str], Text] = {
    ("modality", "CR"): Text("computed radiography (CR)", "计算机X线摄影（CR）"),
    ("modality", "DX"): Text("digital radiography (DX)", "数字X线摄影（DX）"),
    ("modality", "CT"): Text("computed tomography (CT)", "计算机断层扫描（CT）"),
    ("modality", "MR"): Text("magnetic resonance (MR)", "磁共振（MR）"),
    ("modality", "US"): Text("ultrasound (US)", "超声（US）"),
    ("modality", "MG"): Text("mammography (MG)", "乳腺X线摄影（MG）"),
    ("modality", "RF"): Text("fluoroscopy (RF)", "X线透视（RF）"),
    ("modality", "XA"): Text("angiography (XA)", "血管造影（XA）"),
    ("modality", "NM"): Text("nuclear medicine (NM)", "核医学（NM）"),
    ("modality", "PT"): Text("positron emission tomography (PT)", "正电子发射断层扫描（PT）"),
    ("modality", "PX"): Text("panoramic radiography (PX)", "口腔全景摄影（PX）"),
    ("modality", "IO"): Text("intra-oral radiography (IO)", "口内X线摄影（IO）"),
    ("modality", "SM"): Text("slide microscopy (SM)", "切片显微（SM）"),
    ("modality", "OT"): Text("other (OT)", "其他（OT）"),
    ("body_part", "CHEST"): Text("chest", "胸部"),
    ("body_part", "ABDOMEN"): Text("abdomen", "腹部"),
    ("body_part", "HEAD"): Text("head", "头部"),
    ("body_part", "SKULL"): Text("skull", "颅骨"),
    ("body_part", "NECK"): Text("neck", "颈部"),
    ("body_part", "SPINE"): Text("spine", "脊柱"),
    ("body_part", "PELVIS"): Text("pelvis", "骨盆"),
    ("body_part", "BREAST"): Text("breast", "乳腺"),
    ("body_part", "HAND"): Text("hand", "手"),
    ("body_part", "LEG"): Text("leg", "下肢"),
    ("body_part", "KNEE"): Text("knee", "膝"),
    ("body_part", "FOOT"): Text("foot", "足"),
    ("view_position", "PA"): Text("postero-anterior (PA)", "后前位（PA）"),
    ("view_position", "AP"): Text("antero-posterior (AP)", "前后位（AP）"),
    ("view_position", "LL"): Text("left lateral (LL)", "左侧位（LL）"),
    ("view_position", "RL"): Text("right lateral (RL)", "右侧位（RL）"),
    ("view_position", "LATERAL"): Text("lateral", "侧位"),
    ("presentation_intent", "FOR PRESENTATION"): Text(
        "processed for viewing (FOR PRESENTATION)", "供阅片的图像（FOR PRESENTATION）"
    ),
    ("presentation_intent", "FOR PROCESSING"): Text(
        "raw detector data (FOR PROCESSING)", "探测器原始数据（FOR PROCESSING）"
    ),
}
"""What is not listed is told as it is stated."""
AGE_SOURCES: Mapping[AgeSource, Text] = {
    AgeSource.PATIENT_AGE: Text("as the image states it", "取自图像所载年龄"),
    AgeSource.BIRTH_AND_STUDY_DATE: Text(
        "from the dates of birth and study", "按出生日期与检查日期计算"
    ),
}


def value_in_words(fact: str, value: Any, decimals: int = 1) -> Text:
    """Return a value of `fact` with its unit; a fraction with so many `decimals`."""
    shown = str(value)
    if isinstance(value, float):
        shown = f"{value:g}" if value.is_integer() else f"{value:.{decimals}f}"
    unit = UNITS.get(fact)
    if unit is not None:
        return Text(f"{shown} {unit.en}", f"{shown} {unit.zh}")
    return VALUE_WORDS.get((fact, shown), Text(shown, shown))


def one_of(fact: str, values: Sequence[str]) -> Text:
    """Return a list of values of which one is allowed."""
    words = [value_in_words(fact, value) for value in values]
    *others, last = (word.en for word in words)
    english = f"{', '.join(others)} or {last}" if others else last
    return Text(english, "或".join(word.zh for word in words))


def range_in_words(fact: str, minimum: float, below: float, margin: float) -> Text:
    """Return what lies from `minimum` to below `below`, give or take `margin`."""
    unit = UNITS.get(fact, Text("", ""))
    if fact in _COUNTED:
        words = Text(f"{minimum:g} to {below - 1:g}", f"{minimum:g} 至 {below - 1:g}")
    else:
        words = Text(f"{minimum:g} to under {below:g}", f"{minimum:g} 至不满 {below:g}")
    words = Text(f"{words.en} {unit.en}".strip(), f"{words.zh} {unit.zh}".strip())
    if not margin:
        return words
    give = margin_in_words(fact, margin)
    return Text(f"{words.en} (tolerance {give.en})", f"{words.zh}（容差 {give.zh}）")


def margin_in_words(fact: str, margin: float) -> Text:
    """Return how far outside a range still counts, parts of a year in months."""
    months = round(12 * margin, 6)
    if fact == "age_years" and margin < 1 and months == int(months):
        return Text(f"{months:g} month{'s' * (months != 1)}", f"{months:g} 个月")
    unit = UNITS.get(fact, Text("", ""))
    english = unit.en.removesuffix("s") if margin == 1 else unit.en
    return Text(f"{margin:g} {english}".strip(), f"{margin:g} {unit.zh}".strip())
