"""`loncctl doctor PEER`: each fault of a peer has its verdict, its words and its remedy, and none can hang it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler

import jsonschema
import pytest

from tests.conftest import MakeSite
from tests.process import raw_web
from tests.process.harness import TREE, Entry, Site, wait_until
from tests.process.peer import next_address
from tests.process.test_resolving import NAME, Names

SCHEMA = json.loads((TREE / "doc" / "schema" / "doctor.json").read_text("utf-8"))
SHORT = ("--limit", "2")  # for steps that never end; the others must not need so long on a busy machine
FINE = ("ok", "warning")  # of a step that a busy machine may make slow
HANG_S = 60.0


@dataclass(frozen=True)
class Found:
    """What an examination has brought."""

    code: int
    document: dict[str, object]
    steps: dict[str, list[dict[str, object]]]

    def verdict(self, step: str) -> str:
        """Return the verdict of a step, the worst of several of that name last."""
        return str(self.steps[step][-1]["verdict"])

    def text(self, step: str) -> str:
        """Return all texts of a step, with the remedies behind."""
        return " / ".join(f"{one['text']} do: {one['remedy']}" for one in self.steps[step])


def command(site: Site, *arguments: str) -> list[str]:
    """Return the command of an examination."""
    return [sys.executable, str(TREE / "bin" / "loncctl"), "--conf-dir", str(site.conf_dir), "doctor", *arguments]


def doctor(site: Site, *arguments: str, peer: str = "msul1", web: bool = False) -> Found:
    """Examine the peer and return what was found; the document fits its schema."""
    words = ["--json", peer, *arguments, *(() if web else ("--no-web",))]
    done = subprocess.run(
        command(site, *words), capture_output=True, text=True, timeout=HANG_S, check=False, env=environment(site)
    )
    assert done.stderr == ""
    document = json.loads(done.stdout)
    jsonschema.validate(document, SCHEMA, jsonschema.Draft202012Validator)
    steps: dict[str, list[dict[str, object]]] = {}
    for step in document["steps"]:
        steps.setdefault(step["step"], []).append(step)
    assert (done.returncode == 1) == (document["verdict"] == "bad")
    return Found(done.returncode, document, steps)


def environment(site: Site) -> dict[str, str]:
    """Return an environment in which NAME resolves to what the site's file of names says."""
    place = site.root / "names"
    hooked = {"PYTHONPATH": str(place), "TEST_NAMES": str(place / "names")} if place.exists() else {}
    return dict(os.environ) | hooked


@pytest.fixture
def pair(make_site: MakeSite) -> Site:
    """Return a site whose table has our own id too; nothing runs yet."""
    return make_site(("msul1", "own1"))


def test_a_healthy_peer(pair: Site) -> None:
    peer = pair.peer("msul1")
    found = doctor(pair)
    assert found.code == 0
    for step in ("table", "connect", "init", "challenge", "sethost", "ekey", "key", "encrypted", "exit"):
        assert found.verdict(step) in FINE, found.text(step)
    assert "answers as msul1" in found.text("sethost")
    assert "same key" in found.text("encrypted")
    assert "hides nothing" in found.text("key")
    assert "clear" in found.text("key")
    assert found.text("way back").startswith("open: msul1 reaches our lond, which answers as own1")
    assert "5 round trips" in found.text("ping")
    assert found.verdict("clock") == "skipped"
    assert "lonc does not run here" in found.text("lonc")
    # one link, one answer to each request, and an end in order
    assert peer.order(stats=True)["accepted"] == 1
    assert peer.executed() == ["ping"] * 6
    assert [record.text for record in peer.records("d")][-1] == "exit"


def test_the_text_for_people_ends_with_one_sentence(pair: Site) -> None:
    pair.peer("msul1", "at init=answer-close:refused")
    done = subprocess.run(command(pair, "msul1", "--no-web"), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stdout.splitlines()[-1]
    assert last.startswith("msul1 does not work (init: it refused us ('refused')")
    assert "hosts.tab of msul1" in last


FAULTS = [
    ("at init=answer-close:refused", "init", "does not know our address 127.0.0.1", ()),
    ("at init=answer-close:bye", "init", "does not know our address", ()),
    ("at init=reply:SSH-2.0-x", "init", "sounds like ssh", ()),
    ("at init=extra:more", "init", "does not keep to the dialogue", ()),
    ("at init=huge:70000", "init", "does not keep to the dialogue", ()),
    ("at init=rst", "init", "the connection broke at init: connection reset", ()),
    ("at init=close", "init", "closed the connection instead of answering init", ()),
    ("at connect=close", "init", "init", ()),
    ("at challenge=answer:nope", "challenge", "did not take its challenge back: 'nope'", ()),
    ("at challenge=answer:refused", "challenge", "it refused us", ()),
    ("at ekey=empty", "ekey", "no build key", ()),
    ("at ekey=reply:error: no key", "ekey", "no build key", ()),
    ("at ekey=close", "ekey", "closed the connection", ()),
    ("at ekey=wrong-key", "encrypted", "the keys differ", ()),
    ("at ready=close", "encrypted", "brought nothing", ()),
    ("on ping=reply:enc:5:00", "encrypted", "cannot be read", ()),
    ("on ping=close@3", "ping", "ping 2 of 5 brought nothing", ()),
    ("on ping=twice@3", "ping", "brought nothing: more than one answer", ()),
    ("on ping=stall@2", "ping", "ping 1 of 5 brought nothing: no answer within 2 s", SHORT),
    ("on ping=stall", "encrypted", "no answer within 2 s", SHORT),
    ("at pong=reply:msul1:no_such_host", "way back", "got 'no_such_host'", ()),
    *((f"at {step}=stall", step, f"no answer to {step} within 2 s", SHORT)
      for step in ("init", "challenge", "sethost", "version", "pong", "ekey")),
    ("at init=drip:400", "init", "no answer to init within 2 s", SHORT),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "step", "said", "arguments"), FAULTS, ids=lambda value: str(value)[:40])
def test_a_fault_is_found_where_it_is(
    pair: Site, rule: str, step: str, said: str, arguments: tuple[str, ...]
) -> None:
    pair.peer("msul1", rule)
    found = doctor(pair, *arguments)
    assert found.code == 1
    assert found.verdict(step) == "bad", found.document
    assert said in found.text(step)
    assert found.steps[step][-1]["remedy"]
    # it is the first that is bad, so the last sentence is about it
    assert str(found.document["advice"]).startswith(f"msul1 does not work ({step}: ")


WARNINGS = [
    ("at sethost=answer:unknown_cmd", "sethost", "an older lond"),
    ("at sethost=answer:unable_to_set", "sethost", "does not answer as msul1"),
    ("at version=answer:unknown_cmd", "version", "does not tell its version"),
    ("at pong=answer:what", "pong", "does not begin with msul1"),
    ("at pong=reply:msul1:other1", "way back", "which is not our id own1"),
    ("at ekey=reply:ABC", "ekey", "a build key of 3 characters"),
    ("at version=late:2100", "version", "but slowly"),
    ("on ping=late:1050@2-", "ping", "slow: 5 round trips"),
    ("on ping=reply:oak1@6", "ping", "it answers as 'oak1'"),
]


@pytest.mark.parametrize(("rule", "step", "said"), WARNINGS, ids=lambda value: str(value)[:40])
def test_what_works_all_the_same_is_a_warning(pair: Site, rule: str, step: str, said: str) -> None:
    pair.peer("msul1", rule)
    found = doctor(pair)
    assert found.verdict(step) == "warning", found.document
    assert said in found.text(step)


def test_nobody_listens(pair: Site) -> None:
    found = doctor(pair)
    assert found.verdict("connect") == "bad"
    assert "connection refused" in found.text("connect")
    assert "start lond on the other server" in str(found.document["advice"])
    assert found.verdict("ekey") == found.verdict("ping") == "skipped"


def test_a_host_that_swallows_everything_costs_the_limit_of_a_connect(pair: Site) -> None:
    pair.write_config(loncConnectTimeout="0.5")
    pair.peer("msul1").order(deaf=True)
    found = doctor(pair)
    assert found.verdict("connect") == "bad"
    assert "no connection within 0.5 s" in found.text("connect")


def test_a_name_that_does_not_resolve(make_site: MakeSite) -> None:
    site = make_site((Entry("msul1", "http", name=NAME), "own1"))
    Names(site)
    found = doctor(site)
    assert found.verdict("resolve") == "bad"
    assert f"{NAME} does not resolve" in found.text("resolve")
    assert f"getent hosts {NAME}" in str(found.document["advice"])


def test_a_name_that_is_none_is_told_and_the_address_tried(make_site: MakeSite) -> None:
    site = make_site(("msul1", "own1"))
    site.peer("msul1")
    site.hosts_path.write_bytes(site.hosts_path.read_bytes().replace(b"peer.example", b"\x00 \xff"))
    found = doctor(site, web=True)
    assert found.code == 0
    assert "does not resolve" in found.text("resolve")
    assert found.text("web").startswith("local_error")


def test_a_resolver_that_hangs_is_left_behind(make_site: MakeSite) -> None:
    site = make_site((Entry("msul1", "http", name=NAME), "own1"), settings={"loncConnectTimeout": "0.4"})
    Names(site).set("127.0.0.1", seconds=3000)
    found = doctor(site, "--limit", "0.4")
    assert "no answer within 0.4 s" in found.text("resolve")


def test_all_addresses_of_a_name_are_tried(make_site: MakeSite) -> None:
    site = make_site((Entry("msul1", "http", name=NAME), "own1"))
    closed, open_ = next_address(), next_address()
    site.entries[0] = Entry("msul1", open_)
    site.peer("msul1")
    Names(site).set(closed, open_)
    found = doctor(site)
    assert found.code == 0
    assert f"{NAME} is {closed}, {open_}; lonc dials 2 addresses" in found.text("resolve")
    assert [step["verdict"] for step in found.steps["connect"]] == ["warning", "ok"]
    assert found.verdict("encrypted") == "ok"


def test_two_addresses_for_one_id_by_the_name(make_site: MakeSite) -> None:
    site = make_site((Entry("msul1", name=NAME), "own1"))
    site.peer("msul1")
    elsewhere = next_address()
    Names(site).set(elsewhere)
    found = doctor(site)
    assert found.verdict("resolve") == "warning"
    assert f"{NAME} is {elsewhere}, but hosts.tab says {site.entry('msul1').address}: two addresses" in found.text(
        "resolve"
    )


def test_two_addresses_for_one_id_in_the_table(make_site: MakeSite) -> None:
    first, last = next_address(), next_address()
    site = make_site((Entry("msul1", first), "own1", Entry("msul1", last)))
    site.entries = site.entries[1:]
    site.peer("msul1")
    found = doctor(site)
    assert found.code == 1
    assert f"with different addresses (line 1: {first}, line 3: {last}); the last line wins" in found.text("table")
    assert found.verdict("connect") == "ok"


def test_ids_that_make_the_key_constant(make_site: MakeSite) -> None:
    peer = "a-very-long-id-of-a-server.1"
    site = make_site((peer, "own1"))
    site.peer(peer)
    found = doctor(site, peer=peer)
    assert found.verdict("key") == "warning"
    assert "the key is the same for every connection" in found.text("key")
    assert found.verdict("encrypted") == "ok"


def test_a_way_back_that_is_closed_is_asked_for_twice(pair: Site) -> None:
    pair.peer("msul1").ask_back = "/nowhere"
    pair.peers["msul1"].restart()
    found = doctor(pair)
    assert found.code == 1
    assert "msul1 has no link to us (con_lost), also when asked again" in found.text("way back")


def test_a_way_back_that_opens_when_it_is_needed(pair: Site) -> None:
    pair.peer("msul1", "at pong=reply:msul1:con_lost@1")
    found = doctor(pair)
    assert found.verdict("way back") == "ok"


def test_what_lonc_itself_says(pair: Site) -> None:
    pair.peer("msul1")
    pair.start()
    pair.wait_ready("msul1")
    pair.delay("msul1", b"put:secret", age_s=1)
    found = doctor(pair)
    assert found.verdict("lonc") == "ok"
    assert "its link is ready for" in found.text("lonc")
    pair.peers["msul1"].script("at init=stall")
    pair.peers["msul1"].order(end="rst")
    wait_until(lambda: not pair.ready("msul1"), 10, "a lost link")
    found = doctor(pair, *SHORT)
    assert found.verdict("lonc") == "warning"
    assert "mend what is bad above" in found.text("lonc")


def answering(body: bytes, status: int = 200, **headers: str) -> raw_web.Deed:
    """Return what answers a page in this way, in one go."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        raw_web.send(request, status, body, **headers)

    return answer


PAGES = [
    (answering(b"own1\n"), "ok", "from there own1 is reached"),
    (answering(b"con_lost\n"), "bad", "con_lost: the web server runs, but its lonc has no link to own1"),
    (answering(b"no_such_host\n"), "bad", "nobody knows own1"),
    (answering(b"<html>"), "warning", "HTML"),
    (answering(b""), "warning", "an empty page"),
    (answering(b"other1\n"), "warning", "answers 'other1' where own1 was expected"),
    (answering(b"gone", 404), "warning", "404 Not Found"),
    (answering(b"", 301, Location="https://x/"), "warning", "sends us on to 'https://x/'"),
    (lambda _request: time.sleep(5), "warning", "local_error"),
]


@pytest.mark.parametrize(("deed", "verdict", "said"), PAGES, ids=[said[:20] for _, _, said in PAGES])
def test_each_answer_of_the_ping_page(make_site: MakeSite, deed: raw_web.Deed, verdict: str, said: str) -> None:
    web = raw_web.RawWeb()
    limit = "1" if said == "local_error" else "60"
    try:
        web.deeds["/cgi-bin/ping.pl?own1"] = deed
        site = make_site((Entry("msul1", web.address, name=web.address), "own1"))
        site.peer("msul1")
        found = doctor(site, "--web-port", str(web.port), "--limit", limit, web=True)
    finally:
        web.close()
    assert found.verdict("web") == verdict
    assert said in found.text("web")
    assert found.verdict("clock") == ("skipped" if "local_error" in said else "ok")


def test_a_clock_that_is_wrong_is_told(make_site: MakeSite) -> None:
    web = raw_web.RawWeb()

    def answer(request: BaseHTTPRequestHandler) -> None:
        body = b"HTTP/1.0 200 OK\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\n\r\nown1\n"
        request.wfile.write(body)

    try:
        web.deeds["/cgi-bin/ping.pl?own1"] = answer
        site = make_site((Entry("msul1", web.address, name=web.address), "own1"))
        found = doctor(site, "--web-port", str(web.port), web=True)
    finally:
        web.close()
    assert found.verdict("clock") == "warning"
    assert "s behind ours" in found.text("clock")


def test_interrupt_ends_it_at_once(pair: Site) -> None:
    pair.peer("msul1", "at init=stall")
    process = subprocess.Popen(
        command(pair, "msul1", "--limit", "600"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_until(lambda: pair.peers["msul1"].order(stats=True)["open"], 20, "the link of the examination")
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait(10)
    assert process.returncode == 130
    assert "connected to" in out  # the steps so far had been shown
    assert "Traceback" not in errors


def test_usage(pair: Site) -> None:
    for arguments, said in (
        (("msul2",), "no usable line for msul2; is msul1 meant?"),
        (("msul1", "--limit", "0"), "a number of seconds from 0.1 to 600"),
        (("msul1", "--web-port", "65536"), "a port from 1 to 65535"),
        ((), "PEER"),
    ):
        done = subprocess.run(command(pair, *arguments), capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert said in done.stderr
        assert done.stdout == ""
