"""For a person who asks: who saw or changed the records, when, why, and who was refused."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from models.findings import Text
from serving.audit.events import Action, AuditEvent, Outcome, Purpose, utc_text

ACTIONS: Mapping[Action, Text] = {
    Action.CREATE: Text("created", "新建"),
    Action.READ: Text("read", "查看"),
    Action.UPDATE: Text("changed", "修改"),
    Action.DELETE: Text("deleted", "删除"),
    Action.EXECUTE: Text("evaluated", "分析"),
}
OUTCOMES: Mapping[Outcome, Text] = {
    Outcome.ALLOWED: Text("done", "已执行"),
    Outcome.DENIED: Text("refused", "已拒绝"),
    Outcome.FAILED: Text("failed", "未完成"),
}
PURPOSES: Mapping[Purpose, Text] = {
    Purpose.CARE: Text("care", "诊疗"),
    Purpose.SHARING: Text("sharing between institutions", "机构间共享"),
    Purpose.RESEARCH: Text("research", "科研"),
    Purpose.EMERGENCY: Text("emergency override", "紧急访问"),
    Purpose.OPERATIONS: Text("operation of the service", "系统运维"),
    Purpose.AUDIT: Text("audit", "审计"),
    Purpose.PATIENT_REQUEST: Text("request of the person", "本人申请"),
}
ROLES: Mapping[str, Text] = {
    "primary_clinician": Text("primary clinician", "基层医务人员"),
    "specialist": Text("specialist", "专科医师"),
    "ml_engineer": Text("model engineer", "模型工程师"),
    "administrator": Text("administrator", "管理员"),
    "auditor": Text("auditor", "审计员"),
    "system": Text("a program", "程序"),
    "operator": Text("operator of the machine", "主机运维人员"),
    "none": Text("none", "无"),
}
"""The roles of `serving.policy`, and of what is recorded without one."""
OBJECTS: Mapping[str, Text] = {
    "assessment": Text("assessment of a risk", "风险评估"),
    "audit_log": Text("record of accesses", "访问记录"),
    "consent": Text("consent", "知情同意"),
    "image": Text("image", "影像"),
    "instance": Text("image that was not accepted", "未被接收的影像"),
    "job": Text("pre-read", "预读任务"),
    "legal_hold": Text("legal hold", "法律保全"),
    "patient": Text("the person's records", "个人记录"),
    "person": Text("all records of the person", "个人全部记录"),
    "referral": Text("referral", "转诊"),
    "study": Text("study of images", "影像检查"),
    "task": Text("task of the worklist", "工作列表任务"),
}
"""What a patient's event may be about."""
_TITLE = Text("Report of accesses to a person's records", "个人记录访问报告")
_COLUMNS = (
    Text("Time (UTC)", "时间（UTC）"),
    Text("Who", "访问者"),
    Text("Role", "角色"),
    Text("Institution", "机构"),
    Text("Purpose", "目的"),
    Text("What", "内容"),
    Text("Action", "操作"),
    Text("By way of", "途径"),
    Text("Outcome", "结果"),
)


@dataclass(frozen=True, slots=True)
class DisclosureReport:
    """Every event of one patient."""

    patient: str
    """Pseudonym."""
    made_at: datetime
    events: Sequence[AuditEvent]

    @classmethod
    def of(cls, patient: str, events: Iterable[AuditEvent]) -> "DisclosureReport":
        """Return the report on `events`, which are all of that patient."""
        return cls(patient, datetime.now(UTC), tuple(events))

    def as_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {
            "patient": self.patient,
            "made_at": utc_text(self.made_at),
            "count": len(self.events),
            "disclosures": [_entry(event) for event in self.events],
        }

    def as_markdown(self, language: str) -> str:
        """Return the report as a page, in `en` or `zh`."""

        def say(text: Text) -> str:
            return text.zh if language == "zh" else text.en

        made_at = utc_text(self.made_at)
        summary = Text(
            f"Pseudonym {self.patient}; {len(self.events)} entries; made at {made_at}.",
            f"匿名编号 {self.patient}；共 {len(self.events)} 条；生成时间 {made_at}。",
        )
        lines = [f"# {say(_TITLE)}", "", say(summary), ""]
        lines.append("| " + " | ".join(say(column) for column in _COLUMNS) + " |")
        lines.append("|" + " --- |" * len(_COLUMNS))
        lines += ["| " + " | ".join(_cells(event, language)) + " |" for event in self.events]
        return "\n".join(lines) + "\n"


def _cells(event: AuditEvent, language: str) -> tuple[str, ...]:
    words = (
        ROLES.get(event.role, Text(event.role, event.role)),
        PURPOSES[event.purpose],
        _object(event),
        ACTIONS[event.action],
        OUTCOMES[event.outcome],
    )
    role, purpose, what, action, outcome = (
        word.zh if language == "zh" else word.en for word in words
    )
    reason = f" ({event.reason})" if event.reason else ""
    return (
        event.occurred_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
        event.actor,
        role,
        event.institution or "-",
        purpose,
        what,
        action,
        event.operation,
        outcome + reason,
    )


def _object(event: AuditEvent) -> Text:
    named = event.object_type or event.operation
    return OBJECTS.get(named, Text(named, named))


def _entry(event: AuditEvent) -> dict[str, Any]:
    purpose, action, outcome = (
        PURPOSES[event.purpose],
        ACTIONS[event.action],
        OUTCOMES[event.outcome],
    )
    what = _object(event)
    return {
        "occurred_at": utc_text(event.occurred_at),
        "actor": event.actor,
        "role": event.role,
        "institution": event.institution,
        "relation": event.relation,
        "purpose": event.purpose.value,
        "purpose_text": {"en": purpose.en, "zh": purpose.zh},
        "operation": event.operation,
        "object_type": event.object_type,
        "object_text": {"en": what.en, "zh": what.zh},
        "action": event.action.value,
        "action_text": {"en": action.en, "zh": action.zh},
        "outcome": event.outcome.value,
        "outcome_text": {"en": outcome.en, "zh": outcome.zh},
        "reason": event.reason,
        "event_id": event.event_id,
    }
