"""USR1 and USR2: the status of every worker, and hosts.tab read again."""

from __future__ import annotations

import os

from lonc.config import load_hosts
from lonc.errors import ConfigError
from lonc.lond.house import House
from lonc.lond.service import LondService
from lonc.pool import Pool
from lonc.system import status
from lonc.system.logs import Severity


class Upkeep:
    """What an administrator asks a running lond for."""

    def __init__(self, house: House, pool: Pool, service: LondService) -> None:
        self._house = house
        self._pool = pool
        self._service = service

    def report(self) -> None:
        """Have the status file written: the parent's block, then one of each worker."""
        house, log = self._house, self._house.log
        log.write("Going to check on the children")
        line = status.ProcessLine(os.getpid(), log.who, log.status_text, log.last_line, log.trouble)
        trouble = status.start_report(
            house.config.server_status_path, line, files=house.files, clock=house.clock,
            more=self._pool.inner_state(), program="LOND",
        )  # fmt: skip
        if trouble:
            log.write(f"Status file cannot be written: {trouble}", Severity.WARNING)
        self._pool.call()

    def read_table_again(self) -> None:
        """Serve those who are in hosts.tab now; a table that cannot be used changes nothing and is told (P22)."""
        house = self._house
        try:
            table = load_hosts(house.config)
        except ConfigError as error:
            house.log.write(f"hosts.tab cannot be used, the old one stays: {error}", Severity.CRITICAL)
            return
        for warning in table.warnings:
            house.log.write(warning, Severity.WARNING)
        before = {host.id: host for host in house.hosts}
        after = {host.id: host for host in table.hosts}
        gone = [name for name in before if name not in after]
        new = [name for name in after if name not in before]
        changed = [name for name in after if name in before and after[name] != before[name]]
        house.log.write(f"hosts.tab read again: {len(new)} new, {len(gone)} gone, {len(changed)} changed")
        house.hosts = self._service.hosts = table.hosts
        self._pool.reload_workers()
