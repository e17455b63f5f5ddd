"""The client library without a daemon: what is asked twice, logged, known from the tables, asked of the web."""

from __future__ import annotations

import http.server
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from lonc.errors import ConfigError
from lonc.lonnet.answers import AuthKind, Status
from lonc.lonnet.network import Network
from tests.process.desk import Desk
from tests.process.installation import Entry, Installation
from tests.process.waiting import wait_until


@pytest.fixture
def place() -> Iterator[Installation]:
    made = Installation(["msul1", "msul2", Entry("far", domain="other"), "own1"])
    yield made
    shutil.rmtree(made.root)


def network(place: Installation, **options: object) -> Network:
    return Network(conf_dir=str(place.conf_dir), retry_pause_s=0.01, wake_wait_s=0.1, **options)  # type: ignore[arg-type]  # checked there


def log(place: Installation) -> str:
    path = place.logs_dir / "lonnet.log"
    return path.read_text() if path.exists() else ""


def test_a_lost_reply_is_asked_for_once_more(place: Installation) -> None:
    answers = iter([None, b"msul1\n", None, None])
    with Desk(place.socket_path("msul1"), lambda _line: next(answers)) as desk:
        asking = network(place)
        assert asking.reply(b"ping", "msul1").text == "msul1"
        assert asking.reply(b"ping", "msul1").status is Status.LOST
        assert len(desk.lines) == 4


def test_an_unknown_id_is_no_such_host_and_nothing_is_asked(place: Installation) -> None:
    asking = network(place)
    with Desk(place.socket_path("stranger"), lambda line: line + b"\n") as desk:
        for ask in (asking.reply, asking.critical):
            assert ask(b"ping", "stranger").line == b"no_such_host"
        assert desk.lines == []
    assert place.waiting() == []
    assert asking.reply(b"ping", "../own1").status is Status.NO_HOST


@pytest.mark.parametrize("answer", [b"refused", b"rejected: by rule 5 of secret"])
def test_a_refusal_is_logged_by_its_word_and_is_an_answer(place: Installation, answer: bytes) -> None:
    with Desk(place.socket_path("msul1"), lambda _line: answer + b"\n"):
        asking = network(place)
        assert asking.critical(b"put:msu:u:ns:secret=secret", "msul1").line == answer
    assert "WARNING: put (26 bytes) to msul1 was answered" in log(place)
    assert "secret" not in log(place)
    assert place.waiting() == []


def test_a_critical_message_without_an_answer_is_kept_and_told(place: Installation) -> None:
    asking = network(place)
    assert asking.critical(b"update:/res/secret", "msul1").line == b"con_delayed"
    (name,) = place.waiting()
    assert name.endswith(".update.msul1")
    ((_time, kind, peer, *command),) = [record[:5] for record in place.perm_log()]
    assert (kind, peer, command) == ("D", "msul1", ["update", "/res/secret"])
    assert "Could not wake lonc for msul1: no lonc runs" in log(place)
    assert "update (18 bytes) for msul1 is delayed" in log(place)


def test_what_could_not_be_kept_is_told_as_failed(place: Installation) -> None:
    shutil.rmtree(place.delayed_dir)
    place.delayed_dir.write_text("no directory")
    asking = network(place)
    assert asking.critical(b"encrypt:passwd:msu:u:secret:secret", "msul1").line == b"con_failed"
    ((_time, kind, peer, *command),) = [record[:5] for record in place.perm_log()]
    assert (kind, peer, command) == ("F", "msul1", ["encrypt", "passwd"])
    assert "CRITICAL: encrypt:passwd (34 bytes) for msul1 is lost, it could not be kept" in log(place)
    assert "secret" not in log(place) + place.perm_log_path.read_text()


def test_a_new_table_counts_at_once_and_a_broken_one_changes_nothing(place: Installation) -> None:
    asking = network(place)
    place.write_hosts([*place.entries, Entry("fresh", "127.0.0.1")])
    with Desk(place.socket_path("fresh"), lambda line: line + b"\n"):
        assert asking.reply(b"x", "fresh").line == b"x"
        place.hosts_path.write_text("nonsense\n")
        assert asking.reply(b"x", "fresh").line == b"x"
        place.hosts_path.unlink()
        assert asking.reply(b"x", "fresh").line == b"x"
    assert log(place).count("WARNING: The table of hosts cannot be used, the old one is") == 2
    with pytest.raises(ConfigError):
        network(place)


def test_a_user_is_asked_of_their_home(place: Installation) -> None:
    replies = {b"home:msu:jane": b"found", b"get:msu:jane:prefs:colour&size": b"red%20one&"}
    with (
        Desk(place.socket_path("msul1"), lambda _line: b"not_found\n"),
        Desk(place.socket_path("msul2"), lambda line: replies.get(line, b"non_authorized") + b"\n") as home,
        network(place, keep_connections=True) as asking,
    ):
        assert asking.homeserver("jane", "msu").host == "msul2"
        answer = asking.user("jane", "msu").get("prefs", ["colour", "size"])
        assert answer.ok
        assert answer.value == {"colour": "red one", "size": ""}
        result = asking.authenticate("jane", "msu", "wrong")
        assert (result.kind, result.home) == (AuthKind.NOT_AUTHORIZED, "msul2")
        assert home.accepted == 1


def test_a_pid_that_is_no_loncs_is_never_signalled(place: Installation) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        place.pid_path.write_text(f"{stranger.pid}\n")
        (place.logs_dir / "lonc.lock").write_text(f"{stranger.pid}\n")
        assert not network(place).reconlonc("msul1")
        place.pid_path.write_text(f"{os.getpid()}\n")
        assert not network(place).reconlonc("msul1")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait(10)


def test_after_a_fork_no_lock_of_another_thread_is_in_the_way(place: Installation) -> None:
    asking = network(place)
    with Desk(place.socket_path("msul1"), lambda line: line + b"\n"), asking._lock:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = 0 if asking.reply(b"x", "msul1").line == b"x" else 2
            finally:
                os._exit(code)
        ended: list[int] = []

        def over() -> bool:
            done, status = os.waitpid(pid, os.WNOHANG)
            ended.extend([status] if done else [])
            return bool(done)

        wait_until(over, 20, "the end of the child")
    assert ended == [0]


# --- the web's check --------------------------------------------------------------------------------------


class Web:
    """The web server of one host: answers as the function of the path says, None hangs up."""

    def __init__(self, address: str, status: int, answer: bytes, *, drip: bool = False) -> None:
        self.paths: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.paths.append(self.path)
                self.send_response(status)
                self.end_headers()
                while drip:
                    self.wfile.write(b"x")
                    time.sleep(0.05)
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                return

        self.server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]  # the client hangs up on purpose
        self.port = int(self.server.server_address[1])
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self) -> Web:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize(
    ("status", "answer", "result"),
    [
        (200, b"msul1\nmore", "ok"),
        (200, b" msul1 \r\n", "ok"),
        (200, b"con_lost\n", "con_lost"),
        (200, b"", ""),
        (404, b"msul1\n", "local_error"),
        (500, b"", "local_error"),
    ],
)
def test_what_the_ping_page_says(place: Installation, status: int, answer: bytes, result: str) -> None:
    where = place.entry("msul2").address
    place.write_hosts([Entry("msul1", "127.0.0.1"), Entry("msul2", where, name=where)])
    with Web(where, status, answer) as web:
        asking = network(place, http_port=web.port)
        assert asking.connected("msul2", "msul1") == result
        assert web.paths == ["/cgi-bin/ping.pl?msul1"]
        assert asking.connected("ms/ul2\n", "msul1;") == result


def test_who_is_not_in_the_table_is_not_asked(place: Installation) -> None:
    asking = network(place)
    assert asking.connected("nobody", "msul1") == "local_unknown"
    assert asking.connected("msul1", "nobody") == "remote_unknown"


def test_no_page_and_one_that_never_ends_are_errors(place: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    where = place.entry("msul2").address
    place.write_hosts([Entry("msul1", "127.0.0.1"), Entry("msul2", where, name=where)])
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1/")
    with Web(where, 200, b"", drip=True) as web:
        from lonc.lonnet import web as library

        host = next(host for host in network(place).hosts if host.id == "msul2")
        answer = library.ping_page(host, "msul1", port=web.port, limit_s=0.5)
        assert answer in ("local_error", "x" * len(answer))  # cut: never `ok`, never for ever
        assert len(web.paths) == 1
        port = web.port
    assert network(place, http_port=port).connected("msul2", "msul1") == "local_error"
