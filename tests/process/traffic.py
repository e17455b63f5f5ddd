"""Owns clients that ask all the time beside a test, and the proof that each got its own replies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import TracebackType

from tests.process.harness import Site, wait_until


class Traffic:
    """Two clients that ask all the time, one of them on a new connection each time, and check every reply."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.answered = 0
        self.wrong: list[str] = []
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._persistent), threading.Thread(target=self._single)]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        self.more()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()
        if kind is None:
            assert not self.wrong, self.wrong[:5]

    def _check(self, token: bytes, reply: bytes | None) -> None:
        if reply == token:
            self.answered += 1
        else:
            self.wrong.append(f"{reply!r} instead of {token!r}")

    def _ask(self, tokens: Iterator[bytes], ask: Callable[[bytes], bytes | None]) -> None:
        for token in tokens:
            if self._end.wait(0.005) or self.wrong:
                return
            try:
                self._check(token, ask(b"echo:" + token))
            except (OSError, AssertionError) as error:
                self.wrong.append(repr(error))

    def _persistent(self) -> None:
        with self.site.connect("msul1") as client:
            self._ask((b"p%d" % number for number in range(1 << 30)), client.ask)

    def _single(self) -> None:
        self._ask((b"s%d" % number for number in range(1 << 30)), lambda line: self.site.ask("msul1", line))

    def more(self, count: int = 100) -> None:
        """Return when so many more requests have had their right replies."""
        goal = self.answered + count
        wait_until(lambda: self.answered >= goal or self.wrong, 20, "replies")
        assert not self.wrong, self.wrong[:5]
