"""Owns the client library's face: one object through which a program asks the servers of the network.

    network = Network()                      # the configuration of this machine
    network.reply(b"ping", "msul1").text     # one question
    network.critical(b"update:/res/a.html", "msul1").settled
    network.user("jane", "msu").get("preferences", ["colour"]).value

reply      asks, and once more a little later when there was no answer
critical   asks like that, wakes lonc, asks again, and then keeps the message on the disk: lonc sends it later
Source: spec lonnet_loncron.md.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from types import TracebackType

from lonc.config import Config, Host, find_conf_dir, load_config, load_hosts
from lonc.delayed.sealing import Keys
from lonc.delayed.store import MessageStore, NotKeptError
from lonc.errors import ConfigError
from lonc.lonnet import web
from lonc.lonnet.answers import AuthResult, Home, Reply, Status
from lonc.lonnet.connections import Connections, begins_anew
from lonc.lonnet.fields import Text
from lonc.lonnet.finding import Homes, read_spares, spare_server
from lonc.lonnet.server import Server
from lonc.lonnet.users import User
from lonc.lonnet.waking import WAIT_S, wake_lonc
from lonc.system.clock import Clock, SystemClock
from lonc.system.files import Files, SystemFiles
from lonc.system.logs import Log, PermLog, Severity, perm_command, shown_command, shown_reply
from lonc.wire.words import CON_DELAYED, CON_FAILED, NO_SUCH_HOST, REFUSED, REJECTED

RETRY_PAUSE_S = 1.0
LOG_NAME = "lonnet.log"


class Network:
    """The servers of the network, as asked through the lonc of this machine. For any number of threads."""

    def __init__(
        self, config: Config | None = None, *, conf_dir: str | None = None, keep_connections: bool = False,
        retry_pause_s: float = RETRY_PAUSE_S, wake_wait_s: float = WAIT_S, reply_limit_s: float | None = None,
        http_port: int = 80, files: Files | None = None, clock: Clock | None = None,
    ) -> None:  # fmt: skip
        """config, or else what stands in conf_dir, or where this machine has it (files.md 1).

        keep_connections: sockets are used again within this process, see connections.py. reply_limit_s: how long
        a reply may take (None: as long as lonc waits for it). Raises ConfigError.
        """
        self.config = config or load_config(conf_dir or find_conf_dir(None, os.environ))
        self._files = files or SystemFiles()
        clock = clock or SystemClock()
        self._retry_pause_s = retry_pause_s
        self._wake_wait_s = wake_wait_s
        self._http_port = http_port
        self._connections = Connections(self.config, keep=keep_connections, reply_limit_s=reply_limit_s)
        log_path = os.path.join(self.config.logs_dir, LOG_NAME)
        self._log = Log(log_path, files=self._files, clock=clock, who="lonnet")
        self._log.status = "Asking"
        self._perm_log = PermLog(self.config.perm_log_path, files=self._files, clock=clock, log=self._log)
        keys = Keys(self.config.keys_path, files=self._files, clock=clock)
        self._store = MessageStore(
            self.config.delayed_dir, keys, files=self._files, clock=clock,
            max_line_bytes=self.config.max_line_bytes,
        )  # fmt: skip
        self._table_seen: tuple[int, ...] = ()
        self._hosts: tuple[Host, ...] = ()
        self._ids: frozenset[str] = frozenset()
        self._homes = Homes(self.subreply, lambda: self.hosts)
        self.after_fork()
        begins_anew(self)
        self._read_table(must=True)

    def after_fork(self) -> None:
        """Take new locks: another thread may have held the old ones at the fork."""
        self._lock = threading.Lock()
        self._homes.after_fork()

    def __enter__(self) -> Network:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what is kept open."""
        self.close()

    def close(self) -> None:
        """Close the connections that are kept; the object goes on, with a new one for each request."""
        self._connections.close()

    # --- asking ---------------------------------------------------------------------------------------

    def subreply(self, command: bytes, peer: str) -> Reply:
        """Return the reply to one command, asked once; LOST on any trouble. ValueError: it holds a newline."""
        return Reply(self._connections.ask(command, peer))

    def reply(self, command: bytes, peer: str) -> Reply:
        """Return the reply to one command; asked once more after a short pause when there was none.

        So a command may be carried out twice. NO_HOST: the id is not in the table. What the peer refuses is
        logged as WARNING, by its word alone.
        """
        if peer not in self._known_ids():
            return Reply(NO_SUCH_HOST)
        answer = self.subreply(command, peer)
        if answer.status is Status.LOST:
            time.sleep(self._retry_pause_s)
            answer = self.subreply(command, peer)
        if answer.line.startswith((REFUSED, REJECTED)):
            text = f"{shown_command(command)} to {peer} was answered >{shown_reply(answer.line)}<"
            self._log.write(text, Severity.WARNING)
        return answer

    def critical(self, command: bytes, peer: str) -> Reply:
        """Return the reply to a command that must not get lost; without one it is kept and sent later.

        DELAYED: it is on the disk, in its place among what waits for this peer; no crash and no power cut loses
        it, and what begins `encrypt:` lies there sealed. NOT_KEPT: nobody has it (see MessageStore.put). Both are
        recorded in the permanent log (D, F). A peer may get it twice: a lost reply does not tell.
        """
        answer = self.reply(command, peer)
        if answer.status is Status.LOST:
            self.reconlonc(peer)
            answer = self.reply(command, peer)
        return answer if answer.status is not Status.LOST else self._keep(command, peer)

    def _keep(self, command: bytes, peer: str) -> Reply:
        try:
            self._store.put(command, peer)
        except NotKeptError as error:
            text = f"{shown_command(command)} for {peer} is lost, it could not be kept: {error}"
            self._log.write(text, Severity.CRITICAL)
            self._perm_log.failed(peer, perm_command(command))
            return Reply(CON_FAILED)
        self._log.write(f"{shown_command(command)} for {peer} is delayed")
        self._perm_log.delayed(peer, perm_command(command))
        return Reply(CON_DELAYED)

    def reconlonc(self, peer: str) -> bool:
        """Tell lonc that a peer may be back (USR1) and return whether its socket takes connections then.

        Waits 10 s for it at most. False also when no lonc of this machine can be found.
        """
        why = wake_lonc(self.config, self._files, peer, wait_s=self._wake_wait_s)
        if why:
            self._log.write(f"Could not wake lonc for {peer}: {why}", Severity.WARNING)
        return not why

    # --- who and where --------------------------------------------------------------------------------

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The servers of the network by hosts.tab, as it is now; an unusable new table leaves the old one."""
        self._read_table()
        return self._hosts

    def _known_ids(self) -> frozenset[str]:
        self._read_table()
        return self._ids

    def _read_table(self, *, must: bool = False) -> None:
        with self._lock:
            seen: tuple[int, ...] = ()  # gone, or not to be seen
            with contextlib.suppress(OSError):
                facts = os.stat(self.config.hosts_path)
                seen = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)
            if seen == self._table_seen and not must:
                return
            self._table_seen = seen
            try:
                self._hosts = load_hosts(self.config).hosts
            except ConfigError as error:
                if must:
                    raise
                self._log.write(f"The table of hosts cannot be used, the old one is: {error}", Severity.WARNING)
            self._ids = frozenset(host.id for host in self._hosts)

    def homeserver(self, user: Text, domain: Text) -> Home:
        """Return where a user lives: `home:` is asked of every library server of the domain; see Homes.find."""
        return self._homes.find(user, domain)

    def forget_home(self, user: Text, domain: Text) -> None:
        """Ask for a user's home anew next time."""
        self._homes.forget(user, domain)

    def spareserver(self, own_load: float | None = None, kind: str | None = None) -> str | None:
        """Return the id of the least loaded server of spare.tab that is less loaded than ours, None if none is.

        own_load: ours in percent (None: our own server is asked); kind: a class of spare.tab (None: all).
        """
        known = self._known_ids()
        spares = [spare for spare in read_spares(self.config) if spare[0] in known]
        return spare_server(spares, self.subreply, self.config.host_id, own_load, kind)

    def connected(self, local: str, remote: str) -> str:
        """Return whether the web server of `local` reaches `remote`: `ok`, or what is wrong.

        `local_unknown`, `remote_unknown`: not in the table; `local_error`: no page; any other text is what the
        page says. At most about 10 s. Source: spec lonc.md 8.
        """
        hosts = {host.id: host for host in self.hosts}
        local, remote = web.cleaned(local), web.cleaned(remote)
        if local not in hosts:
            return "local_unknown"
        if remote not in hosts:
            return "remote_unknown"
        return web.ping_page(hosts[local], remote, port=self._http_port)

    # --- what is asked most ---------------------------------------------------------------------------

    def user(self, name: Text, domain: Text, home: str = "") -> User:
        """Return a user: their data, account and roles. home: the server, else it is found when it is needed."""
        return User(self, name, domain, home)

    def server(self, peer: str) -> Server:
        """Return one server: its load, and what is kept there for its domain or for a moment."""
        return Server(self, peer)

    def authenticate(self, user: Text, domain: Text, password: Text) -> AuthResult:
        """Return whether this is the user's password, as their home server says. Sent encrypted, never kept."""
        return self.user(user, domain).authenticate(password)
