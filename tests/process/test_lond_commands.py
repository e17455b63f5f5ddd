"""Every row of the command table over the wire, through a real lonc to a real lond: good and bad input (C2).

CASES has what is said and what must come back, row by row, and a test fails when a row of TABLE has none there.
A request that begins `encrypt:` is one that lonc encrypts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from lonc.lond.commands.model import Who
from lonc.lond.commands.table import TABLE
from tests.process.lond_site import Pair, make_pair
from tests.process.waiting import wait_until

Case = tuple[bytes, bytes]  # a request, and a regular expression that its whole reply must match
NO_HOME = rb"error: not_home.*"
NUMBER = rb"\d+(\.\d+)?(e-\d+)?"

CASES: dict[bytes, list[Case]] = {
    b"ping": [(b"ping", rb"srv1"), (b"ping:", rb"srv1"), (b"ping:x", rb"error: ping needs no arguments")],
    b"load": [(b"load", NUMBER), (b"load:1", rb"error: load needs.*")],
    b"userload": [(b"userload", rb"0"), (b"userload:1:2", rb"error: userload needs.*")],
    b"makeuser": [
        (b"encrypt:makeuser:msu:eve:internal:first%20word", rb"ok"),
        (b"encrypt:makeuser:msu:eve:internal:other", rb"already_exists"),
        (b"encrypt:makeuser:other:ann:internal:x", rb"not_right_domain"),
        (b"encrypt:makeuser:msu:a/../b:internal:x", rb"error:.*"),
        (b"encrypt:makeuser:msu:bob:telepathy:x", rb"error:.*"),
        (b"encrypt:makeuser:msu:bob:internal:bad%zzescape", rb"error:.*"),
        (b"encrypt:makeuser:msu:bob", rb"error: makeuser needs .*"),
    ],
    b"currentauth": [
        (b"encrypt:currentauth:msu:ann", rb"internal:.*"),
        (b"encrypt:currentauth:msu:nobody", rb"unknown_user"),
        (b"encrypt:currentauth:msu", rb"error: currentauth needs domain:user"),
    ],
    b"auth": [
        (b"encrypt:auth:msu:ann:first%20word", rb"authorized"),
        (b"encrypt:auth:msu:ann:wrong", rb"non_authorized"),
        (b"encrypt:auth:msu:nobody:wrong", rb"unknown_user"),
        (b"encrypt:auth:msu:ann", rb"error: auth needs .*"),
        (b"encrypt:auth:msu:ann:a:b", rb"error: auth needs .*"),
    ],
    b"passwd": [
        (b"encrypt:passwd:msu:pat:wrong:new", rb"non_authorized"),
        (b"encrypt:passwd:msu:pat:first%20word:second", rb"ok"),
        (b"encrypt:auth:msu:pat:second", rb"authorized"),
        (b"encrypt:auth:msu:pat:first%20word", rb"non_authorized"),
        (b"encrypt:passwd:msu:pat:second", rb"error: passwd needs .*"),
    ],
    b"changeuserauth": [
        (b"encrypt:changeuserauth:msu:cat:internal:third", rb"ok"),
        (b"encrypt:auth:msu:cat:third", rb"authorized"),
        (b"encrypt:changeuserauth:other:cat:internal:x", rb"not_right_domain"),
        (b"encrypt:changeuserauth:msu:nobody:internal:x", rb"error:.*|unknown_user"),
        (b"encrypt:changeuserauth:msu:cat", rb"error: changeuserauth needs .*"),
    ],
    b"home": [
        (b"home:msu:joe", rb"found"), (b"home:msu:nobody", rb"not_found"), (b"home:msu", rb"error: home needs .*"),
        (b"home:msu:..", rb"error:.*"), (b"home::", rb"error:.*"),
    ],
    b"log": [
        (b"log:msu:joe:something:with:colons", rb"ok"), (b"log:msu:nobody:x", NO_HOME),
        (b"log:msu:joe", rb"error: log needs .*"),
    ],
    b"put": [
        (b"put:msu:joe:p:k=v&l=%3A%26%3D", rb"ok"), (b"get:msu:joe:p:l&k", rb"%3A%26%3D&v"),
        (b"put:msu:nobody:p:k=v", NO_HOME), (b"put:msu:joe:roles:k=v", rb"refused"),
        (b"put:msu:joe:..:k=v", rb"error:.*"), (b"put:msu:joe:p", rb"error: put needs .*"),
        (b"put:msu:joe:p:k", rb"error:.*"), (b"put:msu:joe:p:k=%zz", rb"error:.*"),
        (b"put:msu:joe:p:a=b:c", rb"error:.*"),
    ],
    b"newput": [
        (b"newput:msu:joe:np:k=v", rb"ok"), (b"newput:msu:joe:np:k=w", rb"error:.*"),
        (b"newput:msu:joe:np:k=w&m=x", rb"error:.*"), (b"get:msu:joe:np:k&m", rb"v&"),
        (b"newput:msu:joe:roles:k=v", rb"refused"), (b"newput:msu", rb"error: newput needs .*"),
    ],
    b"inc": [
        (b"inc:msu:joe:i:k=5", rb"ok"), (b"inc:msu:joe:i:k=2", rb"ok"), (b"get:msu:joe:i:k", rb"7"),
        (b"inc:msu:joe:i:k=many", rb"error:.*"), (b"inc:msu:joe:i", rb"error: inc needs .*"),
    ],
    b"get": [
        (b"put:msu:joe:g:a=1&b=2", rb"ok"), (b"get:msu:joe:g:b&none&a", rb"2&&1"), (b"get:msu:joe:none:a", rb""),
        (b"get:msu:nobody:g:a", NO_HOME), (b"get:msu:joe", rb"error: get needs .*"),
    ],
    b"eget": [
        (b"put:msu:joe:eg:a=1", rb"ok"), (b"eget:msu:joe:eg:a&b", rb"1&"), (b"encrypt:eget:msu:joe:eg:a", rb"1"),
        (b"eget:msu:joe:eg", rb"error: eget needs .*"),
    ],
    b"del": [
        (b"put:msu:joe:d:a=1&b=2", rb"ok"), (b"del:msu:joe:d:a&none", rb"ok"), (b"get:msu:joe:d:a&b", rb"&2"),
        (b"del:msu:joe:d", rb"error: del needs .*"), (b"del:msu:nobody:d:a", NO_HOME),
    ],
    b"keys": [
        (b"put:msu:joe:k:b=1&a=2", rb"ok"), (b"keys:msu:joe:k", rb"a&b"), (b"keys:msu:joe:empty", rb""),
        (b"keys:msu:joe", rb"error: keys needs .*"), (b"keys:msu:nobody:k", NO_HOME),
    ],
    b"dump": [
        (b"put:msu:joe:du:one=1&two=2&three=3", rb"ok"), (b"dump:msu:joe:du", rb"one=1&three=3&two=2"),
        (b"dump:msu:joe:du:%5Et", rb"three=3&two=2"), (b"dump:msu:joe:du:.:1-2", rb"one=1&three=3"),
        (b"dump:msu:joe:du:(", rb"error:.*"), (b"dump:msu:joe:du:.:x", rb"error:.*"),
        (b"dump:msu:joe", rb"error: dump needs .*"), (b"dump:msu:nobody:du", NO_HOME),
    ],
    b"store": [
        (b"store:msu:joe:s:rec:a=1", rb"ok"), (b"store:msu:joe:s:rec:a=2&b=3", rb"ok"),
        (b"restore:msu:joe:s:rec", rb"version=2&.*1:a=1.*2:a=2.*"), (b"store:msu:joe:s:rec", rb"error: store.*"),
        (b"store:msu:nobody:s:rec:a=1", NO_HOME),
    ],
    b"restore": [
        (b"restore:msu:joe:none:rec", rb".*"), (b"restore:msu:joe:s", rb"error: restore needs .*"),
        (b"restore:msu:nobody:s:rec", NO_HOME),
    ],
    b"rolesput": [
        (b"encrypt:rolesput:msu:joe:msu:ann:%2Fmsu_au=au_0_0", rb"ok"),
        (b"get:msu:joe:roles:%2Fmsu_au", rb"au_0_0"),
        (b"encrypt:rolesput:msu:joe:msu:ann", rb"error: rolesput needs .*"),
    ],
    b"rolesdel": [
        (b"encrypt:rolesdel:msu:joe:msu:ann:%2Fmsu_au", rb"ok"), (b"get:msu:joe:roles:%2Fmsu_au", rb""),
        (b"encrypt:rolesdel:msu:joe", rb"error: rolesdel needs .*"),
    ],
    b"idput": [
        (b"idput:msu:4711=joe&4712=ann", rb"ok"), (b"idget:msu:4712&4713&4711", rb"ann&&joe"),
        (b"idput:msu", rb"error: idput needs .*"), (b"idput:..:a=b", rb"error:.*"),
    ],
    b"idget": [(b"idget:msu:none", rb""), (b"idget:msu", rb"error: idget needs .*")],
    b"sub": [
        (b"sub:%ROOT%/msu/joe/a.html", rb"https?://.*a\.html"), (b"sub:%ROOT%/msu/joe", rb"directory"),
        (b"sub:%ROOT%/msu/joe/none.html", rb"not_found"), (b"sub:%ROOT%/msu/nobody/a.html", rb"rejected"),
        (b"sub:%ROOT%/../../etc/passwd", rb"rejected"), (b"sub:/etc/passwd", rb"rejected"),
        (b"sub:%ROOT%/msu/joe/link/passwd", rb"rejected"), (b"sub", rb"error: sub needs .*"),
    ],
    b"unsub": [
        (b"sub:%ROOT%/msu/joe/a.html", rb"https?://.*a\.html"), (b"unsub:%ROOT%/msu/joe/a.html", rb"ok"),
        (b"unsub:%ROOT%/msu/joe/a.html", rb"not_subscribed"), (b"unsub:%ROOT%/../secret", rb"rejected"),
        (b"unsub", rb"error: unsub needs .*"),
    ],
    b"update": [
        (b"update:%ROOT%/msu/nobody/none.html", rb"not_found"), (b"update:%ROOT%/msu/joe/a.html", rb"rejected"),
        (b"update:%ROOT%/../secret", rb"rejected"), (b"update", rb"error: update needs .*"),
    ],
    b"ls": [
        (b"ls:msu/joe", rb"a%2ehtml&.*"), (b"ls:none", rb"no_such_dir"), (b"ls:empty", rb"empty"),
        (b"ls:../..", rb"no_such_dir|refused|rejected|error:.*"),
        (b"ls:msu/joe/link", rb"no_such_dir|refused|rejected|error:.*"),
    ],
    b"stat": [
        (b"stat:msu/joe/a.html", rb"[\d&]+"), (b"stat:none", rb"no_such_dir|not_found|error:.*"),
        (b"stat:../../../etc/passwd", rb"no_such_dir|refused|rejected|error:.*"),
    ],
    b"tmpput": [(b"tmpput", rb"error: tmpput needs data"), (b"tmpput:a%zz", rb"error:.*")],
    b"tmpget": [(b"tmpget:../x", rb"error:.*"), (b"tmpget:" + b"0" * 32, rb"error:.*|not_found|"),
                (b"tmpget", rb"error: tmpget needs id")],
    b"tmpdel": [(b"tmpdel:../x", rb"error:.*"), (b"tmpdel", rb"error: tmpdel needs id")],
    b"reinit": [
        (b"encrypt:reinit:lond", rb"ok"), (b"encrypt:reinit:lonc", rb"error: lonc is not running"),
        (b"encrypt:reinit:init", rb"error:.*"), (b"encrypt:reinit", rb"error: reinit needs lonc\|lond"),
    ],
    b"pushfile": [
        (b"encrypt:pushfile:host:nonsense", rb"error:.*"), (b"encrypt:pushfile:passwd:x", rb"error:.*"),
        (b"encrypt:pushfile", rb"error: pushfile needs .*"),
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Run one pair for all tests of this file; its client is a manager, there are some resources."""
    made = make_pair()
    res = made.lond.root / "html" / "res"
    (res / "msu" / "joe").mkdir(parents=True)
    (res / "empty").mkdir()
    (res / "msu" / "joe" / "a.html").write_text("<html/>")
    (res / "msu" / "joe" / "link").symlink_to("/etc")
    (made.lond.hosts_path.parent / "managers.tab").write_text("own1\n")
    try:
        made.start()
        for name in (b"ann", b"pat", b"cat"):  # each row has its own account: they run in any order
            assert made.ask(b"encrypt:makeuser:msu:%s:internal:first%%20word" % name) == b"ok"
        yield made
    finally:
        made.lonc.cleanup()
        made.lond.cleanup()


def said(pair: Pair, line: bytes) -> bytes:
    """Return the reply to a request, in which %ROOT% stands for the root of resources."""
    root = str(pair.lond.root / "html" / "res").encode()
    reply = pair.ask(line.replace(b"%ROOT%", root))
    assert reply is not None, line
    return reply


def test_every_row_has_cases() -> None:
    assert sorted(TABLE) == sorted(CASES)
    for word, cases in CASES.items():
        assert any(line.removeprefix(b"encrypt:").split(b":")[0] == word for line, _ in cases)


@pytest.mark.parametrize("word", CASES, ids=lambda word: word.decode())
def test_a_row_over_the_wire(pair: Pair, word: bytes) -> None:
    for line, wanted in CASES[word]:
        reply = said(pair, line)
        assert re.fullmatch(wanted, reply, re.DOTALL), (line, reply)


def test_what_must_be_encrypted_is_refused_in_clear(pair: Pair) -> None:
    words = [word for word, row in TABLE.items() if row.encrypted]
    assert {b"auth", b"passwd", b"makeuser", b"pushfile", b"reinit"} <= set(words)
    for word in words:
        for tail in (b"", b":msu:joe", b":msu:joe:x:y:z"):
            assert said(pair, word + tail) == b"refused"


def test_only_managers_may(pair: Pair) -> None:
    managers = pair.lond.hosts_path.parent / "managers.tab"
    managers.write_text("someone-else\n")
    try:
        for word in (word for word, row in TABLE.items() if row.who is Who.MANAGER):
            assert said(pair, b"encrypt:" + word + b":lond") == b"refused"
    finally:
        managers.write_text("own1\n")


ODD = [
    b"", b":", b"::::::::::", b":\x00", b":msu:joe:\xff\xfe:\x00=\x01", b":%", b":%zz:%00:%2e%2e:%2F",
    b":../../etc", b":msu:../../joe:ns:k=v", b":msu:joe:" + b"n" * 300 + b":k=v", b":msu:" + b"u" * 5000,
    b":msu:joe:ns:" + b"&" * 999, b":msu:joe:ns:" + b"=" * 999, b":-1:-1:-1:-1", b": : : : ",
    b":msu:joe:ns:k=\r", b":\xc3\xa4:joe:ns:k", b":msu:joe:ns:rid:k=v:x:y",
    b"/" + b"../" * 40 + b"etc/passwd",
]  # fmt: skip


@pytest.mark.parametrize("word", TABLE, ids=lambda word: word.decode())
def test_no_input_is_too_odd_for_a_row(pair: Pair, word: bytes) -> None:
    before = wait_until(pair.lond.serving, 20, "the worker of the link")
    lines = [prefix + word + tail for tail in ODD for prefix in (b"", b"encrypt:")]
    with pair.lonc.connect("srv1") as client:
        client.send(*lines, b"ping")
        replies = client.lines(len(lines) + 1, 30)
    assert replies[-1] == b"srv1"
    assert b"con_lost" not in replies
    assert None not in replies
    assert not any(b"the server has failed" in reply for reply in replies if reply), "a defect"
    assert pair.lond.serving() == before, "the worker lives on"


def test_what_is_kept_for_a_while_comes_back(pair: Pair) -> None:
    name = said(pair, b"tmpput:some%20data")
    assert re.fullmatch(rb"[\w.]+", name)
    assert said(pair, b"tmpget:" + name) == b"some%20data"
    assert said(pair, b"tmpdel:" + name) == b"ok"
    assert said(pair, b"tmpget:" + name) != b"some%20data"


def test_a_table_is_pushed_and_read_again(pair: Pair) -> None:
    text = pair.lond.hosts_path.read_text() + "new9:msu:access:new.example:127.9.9.9\n"
    pushed = b"".join(b"%%%02X" % byte for byte in text.encode())
    before = pair.lond.log_text().count("hosts.tab read again")
    assert said(pair, b"encrypt:pushfile:host:" + pushed) == b"ok"
    assert pair.lond.hosts_path.read_text() == text
    assert said(pair, b"encrypt:reinit:lond") == b"ok"
    pair.lond.wait_log("hosts.tab read again", 20, count=before + 1)
    assert said(pair, b"ping") == b"srv1"


def test_values_of_megabytes(pair: Pair) -> None:
    value = b"v" * 4000000
    assert said(pair, b"put:msu:joe:big:a=" + value) == b"ok"
    assert said(pair, b"get:msu:joe:big:a") == value
    assert said(pair, b"encrypt:put:msu:joe:big:b=" + value[:500000]) == b"ok"
    assert said(pair, b"eget:msu:joe:big:b") == value[:500000]
    assert said(pair, b"del:msu:joe:big:a&b") == b"ok"


def test_nothing_of_it_stands_in_a_log(pair: Pair) -> None:
    assert pair.lond.grep_secrets("first%20word", "first word", "something:with:colons", "some%20data") == []
    assert "ABNORMAL" not in pair.lond.log_text()
