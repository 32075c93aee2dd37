"""What to say of a chest radiograph that is presented wrongly: turned, upside down or inverted."""

from models.chest_template import TURNS, WAYS, Way
from models.findings import Reason, Text

_RIGHT = WAYS[0]


def wrongly_presented(way: Way) -> tuple[Reason, ...]:
    """Return what is wrong with the way in which a chest radiograph is presented; often nothing.

    Whether it is a chest radiograph at all the template does not know, so the reasons say "if".
    """
    reasons = []
    if way.inverted:
        reasons.append(_inverted())
    if way.turn != _RIGHT.turn:
        reasons.append(_turned(TURNS[way.turn]))
    return tuple(reasons)


def _inverted() -> Reason:
    message = Text(
        "if this is a chest radiograph, its grey levels are inverted (air bright, bone dark): "
        "check the Photometric Interpretation (0028,0004) and how the picture was exported, or "
        "send the original DICOM image",
        "如为胸部X线片，其灰度已被反转（气体亮、骨骼暗）：请检查 Photometric Interpretation "
        "(0028,0004) 及图像导出方式，或发送原始 DICOM 图像",
    )
    return Reason("grey_levels", "inverted", "air dark, bone bright", message)


def _turned(turn: Text) -> Reason:
    message = Text(
        f"if this is a chest radiograph, it is {turn.en}: turn it upright and send it again",
        f"如为胸部X线片，图像{turn.zh}：请转正后重新发送",
    )
    return Reason("orientation", turn.en, TURNS[_RIGHT.turn].en, message)
