"""A pid file that names a stranger: no order of loncctl ever reaches him (P15)."""

from __future__ import annotations

from tests.process import procs
from tests.process.harness import Site
from tests.process.loncctl import run
from tests.process.restarting import stand_in


def test_loncctl_signals_no_stranger_that_the_pid_file_names(site: Site) -> None:
    with stand_in(["sleep", "600"]) as stranger:
        site.pid_path.write_text(f"{stranger}\n")
        for verb in ("stop", "restart"):
            done = run(site, verb)
            assert done.returncode == 3, done.stderr
            assert "lonc is not running" in done.stderr
            assert procs.alive(stranger)
