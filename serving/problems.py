"""What the service says when a request cannot be served: RFC 9457 problem documents.

One shape for every route: `type`, `title`, `status`, `detail`, and `title_zh` for Chinese readers.
A detail says what was found, what was expected and what to do next; it never holds patient data.
"""

import math
from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import Response

from serving.answers import write_json
from serving.fhir.problems import FHIR_PATHS, outcome_response

MEDIA_TYPE = "application/problem+json"

_TITLES_ZH: Mapping[int, str] = {
    400: "请求无法理解",
    401: "未提供有效凭证",
    403: "拒绝访问",
    404: "资源不存在",
    405: "不支持该请求方法",
    408: "请求超时",
    412: "缺少所需的预取数据",
    413: "请求内容过大",
    415: "不支持的内容类型",
    422: "请求无法执行",
    426: "需要升级为 WebSocket 连接",
    429: "请求过于频繁",
    421: "请求的主机名不属于本服务",
    500: "服务内部错误",
    502: "上游系统未应答",
    503: "服务暂不可用",
}


class Problem(Exception):  # noqa: N818  (the name RFC 9457 gives it)
    """A request that cannot be served; whoever finds out raises it, `Entrance` answers it."""

    def __init__(
        self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})

    def response(self, path: str = "") -> Response:
        """Return the problem document, or what FHIR has instead of one under its paths."""
        if path.startswith(FHIR_PATHS):
            title_zh = _TITLES_ZH.get(self.status.value, self.status.phrase)
            return outcome_response(self.status.value, str(self), title_zh, self.headers)
        document = {
            "type": "about:blank",
            "title": self.status.phrase,
            "title_zh": _TITLES_ZH.get(self.status.value, self.status.phrase),
            "status": self.status.value,
            "detail": str(self),
        }
        return Response(
            write_json(document),
            status_code=self.status.value,
            headers=self.headers,
            media_type=MEDIA_TYPE,
        )


def too_many(wait_s: float) -> Problem:
    """Return what is answered to who asks too often."""
    after = str(math.ceil(wait_s))
    return Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        f"There were more requests than are taken in a minute; send the next in {after} s.",
        {"Retry-After": after},
    )


def database_away() -> Problem:
    """Return what is answered while the database cannot be used."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The database cannot be used now: it is away, or its disk is full. Send the request again "
        "later; the operator has to see to the database and its disk. / "
        "数据库暂不可用（无法连接或磁盘已满），请稍后重试；运维人员需检查数据库及其磁盘。",
    )
