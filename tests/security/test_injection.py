"""Text from outside in the log, the status file, the tool's output and the page: shown, never obeyed.

Whatever can say something gets to say control characters, ESC, bytes that are no UTF-8, markup and line ends: a
client, the peer at every step of its dialogue and in replies, hosts.tab, names and texts of delayed messages, the
environment. Afterwards everything that people read is searched for what a terminal or a browser would obey.
"""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

from tests.conftest import MakeSite
from tests.process.harness import Entry, Site
from tests.process.loncctl import run
from tests.process.waiting import wait_until
from tests.proof.tally import Tally

EVIL = "\x1b]0;owned\x07\x1b[31m<script>alert(1)</script>&\x00\r\u202e\x9b1m"
RAW = EVIL.encode() + b"\xff\xfe\xc3("
AS_ARGUMENT = r"\x1b[31m<script>alert(1)</script>&\x00\x0d\x9b\xff\xc3("  # for the rules of a test peer
# What a terminal obeys: C0 but newline and tab, DEL, C1, and the marks that turn text around.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffd]")


def obeyed(text: str, *, html: bool) -> list[str]:
    """Return what a terminal would obey, and for what is read as HTML also markup that is not ours."""
    found = _OBEYED.findall(text)
    if html:
        found += [tag for tag in ("<script>alert", "<img", "onerror=") if tag in text]
    return found


def evil_site(make_site: MakeSite) -> Site:
    """Return a running site in which everybody has said what he should not."""
    site = make_site(
        ["msul1", Entry("odd1", role="<img src=x onerror=a>", domain="\x1b[31m", name="b\x1b]0;x\x07.example")],
        settings={"loncDelayedScan": "0.2", "loncGrace": "0.2", "loncJsonLog": "on"},
    )
    with site.hosts_path.open("ab") as table:
        table.write(b"<b>\x1b[31m:x:library:n:10.0.0.1\n../../etc/x:a:b:c:10.0.0.2\n" + RAW + b"\n")
        table.write(b"line\rbreak1:a:library:c:10.0.0.3\nmsul9:a:library:c:<script>alert(1)</script>\n")
    site.peer(
        "msul1", f"at version=answer:version:{AS_ARGUMENT}", f"at pong=answer:msul1:{AS_ARGUMENT}",
        f"at sethost=answer:{AS_ARGUMENT}", f"on put:bad*=answer:error: {AS_ARGUMENT}",
        f"on odd*=answer:{AS_ARGUMENT}",
    )  # fmt: skip
    site.peer("odd1", f"at init=answer:{AS_ARGUMENT}", f"at challenge=answer:{AS_ARGUMENT}")
    site.start(env={"LANG": EVIL.replace("\x00", ""), "TERM": "\x1b[31m", "USER": EVIL.replace("\x00", "")})
    site.wait_ready("msul1")
    return site


def everybody_speaks(site: Site) -> None:
    """Have clients, messages and wishes say it too, and everything be reported."""
    with site.connect("msul1") as client:
        client.send(RAW.replace(b"\n", b"") + b":x", b"encrypt:" + RAW.replace(b"\n", b""), b"odd:x")
        client.lines(3, 20)
    site.signal(signal.SIGUSR2, site.child("msul1"))  # each transaction into the log
    assert site.ask("msul1", b"odd\x1b[31m<b>:x") is not None
    name = os.fsdecode(RAW.replace(b"/", b"_").replace(b"\x00", b"").replace(b"\n", b""))
    site.delay("msul1", b"put:bad:\x1b[31m<script>alert(1)</script>")
    site.delayed(f"7.1.2.{name}.msul1", b"put:x\n")
    site.delayed("7.2.3.two\nlines.msul1", b"put:x\n")
    site.delayed("7.3.4.two.msul1", RAW + b"\n" + RAW + b"\n")
    wait_until(lambda: len(list((site.delayed_dir / "rejected").glob("*"))) >= 2, 30, "a refused message")
    wait_until(lambda: len(list((site.delayed_dir / "corrupt").glob("*"))) >= 2, 30, "a corrupt message")
    site.logs_dir.joinpath("lonc.wanted").write_bytes(b"msul1\t" + RAW + b"\n" + RAW + b"\tpaused\n")
    site.signal(signal.SIGUSR1)
    site.wait_log("Going to check on the children")
    wait_until(lambda: site.status_path.exists() and "odd1" in site.status_path.read_text("utf-8", "replace"), 30,
               "a report of all")  # fmt: skip


def test_nothing_that_anybody_reads_is_obeyed(make_site: MakeSite, tally: Tally) -> None:
    site = evil_site(make_site)
    everybody_speaks(site)
    wrong: dict[str, list[str]] = {}
    files = [site.log_path, site.perm_log_path, site.status_path, site.logs_dir / "lonc_errors", site.error_path]
    for path in files:
        if path.exists():
            found = obeyed(path.read_bytes().decode("utf-8", "replace"), html=path == site.log_path)
            wrong[path.name] = found
    for line in (site.logs_dir / "lonc.json.log").read_text("utf-8").splitlines():
        wrong["json"] = wrong.get("json", []) + obeyed(json.loads(line)["message"], html=False)
    verbs = (["status"], ["queue", "msul1"], ["doctor", "msul1", "--no-web", "--limit", "2"], ["check"])
    for verb in verbs:
        done = run(site, *verb)
        wrong[verb[0]] = obeyed(done.stdout + done.stderr, html=False)
    assert run(site, "page").returncode == 0
    page = Path(site.status_path.with_name("lonc.html")).read_text("utf-8")
    wrong["page"] = obeyed(page, html=True)
    assert {name: found for name, found in wrong.items() if found} == {}
    assert len(site.log()) > 5, "each line of the log still has its form"
    for shown in ("&lt;script&gt;alert(1)", r"\x1b[31m", r"\xff"):
        assert shown in site.log_text(), "what was said is told, and can be read"
    tally.add(inputs=len(wrong))
