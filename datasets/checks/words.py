"""What a check calls things for people who have not read the code, in both languages."""

from models.findings import Text

_KINDS = {
    "rows": Text("Rows that do not fit", "不符合要求的行"),
    "unreadable": Text("Unreadable files", "无法读取的文件"),
    "unlisted": Text("Pictures that no row names", "未列入索引的图像"),
    "manifest": Text("No manifest", "无法生成清单"),
    "digest": Text("Other data than described", "数据与描述不一致"),
    "label_conflicts": Text("One content, two labels", "内容相同、标签不同"),
    "near_label_conflicts": Text("Look the same, two labels", "外观相同、标签不同"),
    "split_leaks": Text("In two parts of the split", "跨划分重复"),
    "shared_by_groups": Text("Under two groups", "跨分组重复"),
    "copies_in_a_group": Text("Copies within a group", "组内重复"),
    "divided_groups": Text("Divided groups", "分组被拆分"),
    "missing_groups": Text("Groups that say nothing", "分组无信息"),
    "blank": Text("Blank pictures", "空白图像"),
    "shortcut_suspects": Text("Shortcut suspects", "疑似捷径特征"),
}
_FACTS = {
    "column_gradient": Text("sharpness from left to right", "横向锐度"),
    "row_gradient": Text("sharpness from top to bottom", "纵向锐度"),
    "gradient_ratio": Text("ratio of both (aspect ratio)", "横纵锐度比（长宽比）"),
    "fine_detail": Text("fine detail (sharpening, noise)", "细节（锐化、噪声）"),
    "black_share": Text("share of black (borders)", "黑色占比（边框）"),
    "white_share": Text("share of white (markers)", "白色占比（标记）"),
    "top_bottom_grey": Text("grey level at top and bottom", "上下边缘灰度"),
    "top_bottom_contrast": Text("contrast at top and bottom", "上下边缘对比度"),
    "sides_grey": Text("grey level at the sides", "左右边缘灰度"),
    "sides_contrast": Text("contrast at the sides", "左右边缘对比度"),
    "grey_range": Text("range of grey levels", "灰度范围"),
    "mean_red": Text("mean red", "红色均值"),
    "mean_green": Text("mean green", "绿色均值"),
    "mean_blue": Text("mean blue", "蓝色均值"),
    "rows_px": Text("image height in pixels", "图像高度（像素）"),
    "columns_px": Text("image width in pixels", "图像宽度（像素）"),
    "bytes_per_pixel": Text("file size per pixel (compression)", "每像素文件大小（压缩）"),
    "jpeg_quantisation": Text("coarseness of the JPEG", "JPEG 量化粗细"),
    "age_years": Text("age in years", "年龄（岁）"),
}
SEVERITIES = {"error": Text("error", "错误"), "warning": Text("warning", "警告")}
NOT_KNOWN = "not known 未知"
NOT_ASSIGNED = "not assigned 未指定"
NONE = "none 无"


def kind_name(kind: str) -> Text:
    """Return what a problem of the machine name `kind` is called."""
    return _KINDS.get(kind, Text(kind, kind))


def fact_name(fact: str) -> Text:
    """Return what an acquisition fact is called; one of a description has its own name."""
    if fact.startswith("grey_p") and fact[6:].isdigit():
        share = fact[6:]
        return Text(f"grey level, percentile {share}", f"灰度第 {share} 百分位")
    if fact.startswith("site "):
        return Text(fact, f"来源 {fact[5:]}")
    return _FACTS.get(fact, Text(fact, fact))
