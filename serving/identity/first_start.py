"""What a new installation begins with, told once."""

from dataclasses import dataclass
from datetime import UTC, datetime

from serving.identity.accounts import add_account, count_accounts
from serving.identity.keys import make_key
from serving.identity.local import LOCAL, ensure_institution
from serving.policy import Role
from serving.records import database_url, open_engine, upgrade

ADMINISTRATOR = "admin"


@dataclass(frozen=True, slots=True)
class FirstStart:
    """How to log in; it cannot be had again."""

    account: str
    password: str
    """To be changed at the first login."""
    key: str
    """Of a program of the institution `local`."""

    def told(self) -> str:
        """Return the words for whoever starts the service."""
        return (
            "First start; this is shown once. / 首次启动，以下内容仅显示一次。\n"
            f"  Account of the administrator / 管理员账户: {self.account}\n"
            f"  First password, to be changed / 初始口令（须修改）: {self.password}\n"
            "  Key of a program of the institution 'local', sent as `Authorization: Bearer KEY` / "
            f"“local”机构的程序密钥:\n  {self.key}\n"
        )


def first_start() -> FirstStart | None:
    """Make the first account and key of an installation, None where there are accounts."""
    engine = open_engine(database_url())
    try:
        upgrade(engine)
        ensure_institution(engine)
        if count_accounts(engine):
            return None
        account, password = add_account(
            engine,
            ADMINISTRATOR,
            full_name="Administrator / 管理员",
            roles=[Role.ADMINISTRATOR],
            institution=None,
            now=datetime.now(UTC),
        )
        key = make_key(engine, label="first start", roles=[Role.SYSTEM], institution=LOCAL)
        return FirstStart(account.name, password, key)
    finally:
        engine.dispose()
