"""Owns the stage for tests of resources: a server of commands with a document root, sessions and sockets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.unit.command_stage import NOW, Stage

ANNA = "/home/httpd/html/res/home/anna"  # the author who is at home here
CARL = "/home/httpd/html/res/away/carl"  # one of the server `there`


class ResourceStage(Stage):
    """A stage whose area of resources has a file of anna's, and a copy of one of carl's."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.config = replace(
            self.config, doc_root=str(root / "html"), ids_dir=str(root / "ids"), sock_dir=str(root / "s")
        )
        self.context = replace(self.context, config=self.config)
        self.res = root / "html" / "res"
        (root / "ids").mkdir()
        (root / "s").mkdir()
        self.file("home/anna/a/x.html", "of anna")
        self.file("away/carl/y.html", "of carl")
        self.account(b"home", b"anna", b"unix:")

    def file(self, rest: str, text: str, age_s: float = 0.0) -> Path:
        """Make a file below the root of resources, last used and changed so many seconds before NOW."""
        path = self.res / rest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (NOW - age_s, NOW - age_s))
        return path

    def by(self, client: bytes, line: str) -> str:
        """Return the reply to a line of this client."""
        self.context = replace(self.context, client=client)
        return self.said(line)


def resource_stages(root: Path) -> Iterator[ResourceStage]:
    """Yield a stage and end it; what a fixture needs."""
    stage = ResourceStage(root)
    yield stage
    stage.store.close()
