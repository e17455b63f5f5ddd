"""Owns the stage for tests of lond's commands: a real configuration, a real SQLite store, a log that is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from lonc.config import Host, load_config
from lonc.lond.commands.model import Context, Reply
from lonc.lond.commands.table import carry_out
from lonc.lond.store import Namespace, Owner, Store, StoreError, open_store
from lonc.system.clock import SystemClock
from lonc.system.files import SystemFiles
from lonc.system.logs import Log

NOW = 1700000000.5
HOSTS = (
    Host("here1", "home", "library", "here.example", "127.0.0.1"),
    Host("here2", "second", "library", "here.example", "127.0.0.1"),
    Host("there", "away", "library", "there.example", "127.0.0.2"),
    Host("named", "third", "library", "named.example", ""),
)

# One good line for every row, and how its reply begins; in order, on one store.
GOOD = [
    ("ping", "here1"),
    ("home:home:anna", "found"),
    ("home:home:nobody", "not_found"),
    ("makeuser:home:bert:internal:secret%21", "ok"),
    ("auth:home:bert:secret%21", "authorized"),
    ("currentauth:home:bert", "internal:"),
    ("passwd:home:bert:secret%21:other", "ok"),
    ("changeuserauth:home:bert:krb4:REALM", "ok"),
    ("log:home:anna:Login: 50% done", "ok"),
    ("put:home:anna:notes:a=1&b=%26", "ok"),
    ("newput:home:anna:notes:c=3", "ok"),
    ("inc:home:anna:notes:a=2", "ok"),
    ("get:home:anna:notes:b&a&x&c", "%26&3&&3"),
    ("eget:home:anna:notes:a", "3"),
    ("del:home:anna:notes:b&x", "ok"),
    ("keys:home:anna:notes", "a&c"),
    ("dump:home:anna:notes:.", "a=3&c=3"),
    ("store:home:anna:notes:rec:k=v", "ok"),
    ("restore:home:anna:notes:rec", "version=1&1:keys=k:timestamp&1:k=v&1:timestamp=1700000000"),
    ("rolesput:home:anna:home:boss:r=1", "ok"),
    ("rolesdel:home:anna:home:boss:r", "ok"),
    ("idput:home:100=anna", "ok"),
    ("idget:home:100&101", "anna&"),
    ("tmpput:some%20data", ""),
    ("tmpget:" + "0" * 32, "error: there is nothing with this id"),
    ("tmpdel:" + "0" * 32, "error: there is nothing with this id"),
]


class Stage:
    """One server with its files below root; `ask` and `said` carry a line out."""

    def __init__(self, root: Path, store: Store | None = None, engine: str = "sqlite") -> None:
        (root / "conf").mkdir()
        lines = [
            "lonHostID here1",
            *(f"{name} {root / name}" for name in ("lonDaemons", "lonTabDir", "lonUsersDir")),
        ]
        (root / "conf" / "loncapa.conf").write_text("".join(f"PerlSetVar {line}\n" for line in lines))
        for name in ("lonDaemons", "lonTabDir", "lonUsersDir"):
            (root / name).mkdir()
        self.root = root
        self.config = replace(load_config(str(root / "conf")), store=engine)
        self.log_path = root / "lond.log"
        log = Log(str(self.log_path), files=SystemFiles(), clock=SystemClock(), who="w1", stderr_fd=-1)
        self.store = store or open_store(self.config)
        self.context = Context(self.config, self.store, log, HOSTS, b"there", "127.0.0.2", b"here1", NOW)

    def ask(self, line: str | bytes, *, encrypted: bool = False) -> Reply:
        """Return the reply to a line."""
        return carry_out(line.encode("latin-1") if isinstance(line, str) else line, encrypted, self.context)

    def said(self, line: str | bytes, *, encrypted: bool = True) -> str:
        """Return the text of the reply to a line that came encrypted."""
        return self.ask(line, encrypted=encrypted).line.decode("latin-1")

    def account(self, domain: bytes, user: bytes, info: bytes) -> None:
        """Make an account without asking for it."""
        assert self.store.create_account(Owner(domain, user), info)

    @property
    def log(self) -> str:
        """What was logged."""
        text = self.log_path.read_text("utf-8") if self.log_path.exists() else ""
        return text.replace("</font>", "")  # the end of a severity's colour


class BrokenStore:
    """A store in which everything fails, with an error of its own choosing."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error or StoreError("the disk is full")

    def get_many(self, _owner: Owner, _namespace: bytes, _keys: Sequence[bytes]) -> list[bytes | None]:
        raise self._error

    def reading(self, _owner: Owner, _namespace: bytes) -> AbstractContextManager[Namespace]:
        raise self._error

    def writing(self, _owner: Owner, _namespace: bytes, _line: bytes) -> AbstractContextManager[Namespace]:
        raise self._error

    def account(self, _owner: Owner) -> bytes | None:
        raise self._error

    def create_account(self, _owner: Owner, _info: bytes) -> bool:
        raise self._error

    def change_account(self, _owner: Owner, _info: bytes) -> bool:
        raise self._error

    def exists(self, _owner: Owner) -> bool:
        raise self._error

    def activity(self, _owner: Owner, _line: bytes) -> None:
        raise self._error

    def close(self) -> None:
        return


def stages(root: Path) -> Iterator[Stage]:
    """Yield a stage with one user and end it; what a fixture needs."""
    stage = Stage(root)
    stage.account(b"home", b"anna", b"unix:")
    yield stage
    stage.store.close()
