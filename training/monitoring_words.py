"""What a monitoring report says to people who are no statisticians: names, causes, what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.findings import Text
from models.observation import BUSY, FAILED, STOPPED, UNKNOWN
from training.drift import Measure
from training.shadow_report import ShadowRead

_FACTS = {
    "rows_px": Text("image height in pixels", "图像高度（像素）"),
    "columns_px": Text("image width in pixels", "图像宽度（像素）"),
    "dynamic_range": Text("range of grey levels in use", "灰阶使用范围"),
    "clipped_fraction": Text("share of pure black or white", "纯黑或纯白像素比例"),
    "sharpness": Text("sharpness", "清晰度"),
    "mean_red": Text("mean red", "红色均值"),
    "mean_green": Text("mean green", "绿色均值"),
    "mean_blue": Text("mean blue", "蓝色均值"),
    "age_years": Text("age in years", "年龄（岁）"),
    "distance": Text("distance from the images it was made for", "与建模影像的差异程度"),
}
_VERDICTS = {
    "outside_intended_use": Text("refused: outside the intended use", "拒绝：超出适用范围"),
    "out_of_distribution": Text("refused: unlike what it was made for", "拒绝：与建模影像不同"),
    "unreadable": Text("refused: unreadable", "拒绝：无法读取"),
}
_PICTURE = frozenset(_FACTS) - {"age_years", "distance"}

_TOGETHER = {
    "all": Text("All institutions", "全部机构"),
    UNKNOWN: Text("Senders of no institution", "未归属机构的发送方"),
}
_SKIPPED = {
    BUSY: Text(
        "{count} came while it was busy with others: what it read is a sample, mostly of quiet "
        "hours. More processor cores let it read more.",
        "{count} 次到达时其正忙于其他输入：已判读者为抽样，多属空闲时段；"
        "增加处理器核数可判读更多。",
    ),
    FAILED: Text(
        "{count} it failed on: the service's log says why; mend that before it is promoted.",
        "{count} 次判读失败：原因见服务日志，应在提升前解决。",
    ),
    STOPPED: Text(
        "{count} still waited when the service ended.",
        "{count} 次在服务停止时仍在等待。",
    ),
}


@dataclass(frozen=True, slots=True)
class Cause:
    """What measures that moved together may come from, and what to do about it."""

    seen: Text
    do: Text


_LOOKS = Cause(
    Text("The inputs look different from those of the reference.", "输入与参考期相比外观不同。"),
    Text(
        "Ask what changed there: device, detector, exposure, image processing, export as JPEG, "
        "stain or scanner. Look at ten recent inputs beside ten older ones.",
        "询问当地有何变化：设备、探测器、曝光、图像处理、导出为 JPEG、染色或扫描仪。"
        "取 10 例近期与 10 例早期输入对照查看。",
    ),
)
_WHO = Cause(
    Text(
        "Other people, or other kinds of examination, are sent than before.",
        "送来的人群或检查类型与以前不同。",
    ),
    Text(
        "Ask who is examined now and why (age, ward, screening, view), and whether the model is "
        "meant for them: its card says for whom.",
        "询问目前检查的对象与目的（年龄、科室、筛查、体位），并对照模型卡确认其是否适用。",
    ),
)
_SAYS = Cause(
    Text(
        "The model says something else, or less often anything.",
        "模型给出的结果或其把握程度与以前不同。",
    ),
    Text(
        "If nothing above moved, the share of ill people may have changed (season, outbreak, "
        "screening). Let a reader review fifty recent results, and compare by --reviews.",
        "若上述各项均无变化，可能是患病比例改变（季节、暴发、筛查）。"
        "请阅片者复核 50 例近期结果，并以 --reviews 比较。",
    ),
)
_REFUSES = Cause(
    Text("More inputs, or fewer, are refused than before.", "被拒绝的输入多于或少于以前。"),
    Text(
        "Each answer says which rule was broken: look at the reasons of recent refusals. Mend "
        "headers and export at the sender; do not work around the refusal.",
        "每个结果都写明违反了哪条规则：查看近期拒绝的原因，在发送端修正头信息与导出方式，不要绕过拒绝。",
    ),
)


def institution_name(institution: str, names: Mapping[str, Text]) -> Text:
    """Return what a person calls `institution`, by its id, `all` or UNKNOWN; the id if unnamed."""
    return {**names, **_TOGETHER}.get(institution, Text(institution, institution))


def institution_title(institution: str, names: Mapping[str, Text]) -> str:
    """Return both names, with the id by which commands and gauges know the institution."""
    name = institution_name(institution, names)
    if name.en == institution:
        return institution
    title = f"{name.en} {name.zh}"
    return title if institution in _TOGETHER else f"{title} ({institution})"


def skipped_told(read: ShadowRead) -> list[Text]:
    """Return, for each reason why a challenger did not read inputs, how many and what to do."""
    return [
        Text(told.en.format(count=count), told.zh.format(count=count))
        for why, count in read.skipped.items()
        for told in (_SKIPPED.get(why, Text(f"{{count}} {why}.", f"{{count}} {why}。")),)
    ]


def name_of(measure: Measure) -> Text:
    """Return what `measure` is called on the page."""
    name = measure.name
    if name in _FACTS:
        return _FACTS[name]
    tail = name.partition(" ")[2]
    if measure.kind == "embedding":
        return Text(f"look to the network, direction {tail}", f"网络所见特征，方向 {tail}")
    if measure.kind == "score":
        label = name.removeprefix("probability of ")
        return Text(name, f"{label} 的概率")
    if name.startswith("refused: "):
        return _VERDICTS.get(tail, Text(name, f"拒绝：{tail}"))
    if name.startswith("abstains on "):
        label = name.removeprefix("abstains on ")
        return Text(name, f"{label} 不作判断")
    if " is " in name:
        fact, _, code = name.partition(" is ")
        return Text(name, f"{fact} 为 {code}")
    return Text(name, name)


def value_of(measure: Measure, value: float) -> str:
    """Return a median, or a rate in per cent, as the page shows it."""
    return f"{value:.1%}" if measure.kind == "rate" else f"{value:.3g}"


def causes_of(alarms: Sequence[Measure]) -> list[Cause]:
    """Return what the measures that moved may come from; each cause once."""
    return list(dict.fromkeys(_cause(measure) for measure in alarms))


def _cause(measure: Measure) -> Cause:
    if measure.kind == "embedding" or measure.name in _PICTURE:
        return _LOOKS
    if measure.name.startswith("refused: "):
        return _REFUSES
    if measure.kind == "score" or measure.name.startswith("abstains on "):
        return _SAYS
    return _WHO
