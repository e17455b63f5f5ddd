"""As process 1 of a container: it starts, restarts, ends, and comes up again after the container was killed."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator

import psutil
import pytest

from tests.conftest import SITES
from tests.process.harness import Site
from tests.process.waiting import wait_until

OWN_PIDS = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


class ContainedSite(Site):
    """A site whose daemon counts processes from 1 on; pid() is the number that the test sees."""

    def pid(self) -> int:
        """Return the daemon's pid outside; the pid file has the one inside, which is a stranger's here."""
        assert self.foreground is not None
        starter = psutil.Process(self.foreground.pid)
        return int(wait_until(starter.children, 10, "process 1")[0].pid)

    def answers(self) -> bool:
        """Return whether the peer is reached through the socket."""
        try:
            return self.ask("msul1", b"ping") == b"msul1"
        except OSError:
            return False


@pytest.fixture
def site(request: pytest.FixtureRequest) -> Iterator[ContainedSite]:
    done = subprocess.run([*OWN_PIDS, "true"], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no namespace of processes can be made here: {done.stderr!r}")
    made = ContainedSite(["msul1"])
    request.node.stash.setdefault(SITES, []).append(made)
    yield made
    made.cleanup()


def test_process_1_starts_restarts_ends_and_comes_up_after_a_kill(site: ContainedSite) -> None:
    site.peer("msul1")
    site.start_foreground(wrapper=OWN_PIDS)
    assert site.pid_path.read_text() == "1\n"
    wait_until(site.answers, 20, "an answer")
    site.signal(signal.SIGHUP)
    site.wait_log("children hand over to new ones")
    wait_until(site.answers, 20, "an answer of the new self")
    family = [site.pid(), *(child.pid for child in psutil.Process(site.pid()).children())]
    site.signal(signal.SIGKILL)
    wait_until(lambda: not any(map(psutil.pid_exists, family)), 20, "the end of the container")
    assert site.pid_path.read_text() == "1\n", "left behind, as after a loss of power"
    assert site.foreground is not None
    site.foreground.wait(10)
    site.start_foreground(wrapper=OWN_PIDS)
    wait_until(site.answers, 20, "an answer after the restart of the container")
    site.stop()
    assert not site.pid_path.exists()
    assert site.log_text().count("Shutting down") == 1
