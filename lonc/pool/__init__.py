"""A pool of identical workers that were forked before their clients came, with a babysitter (doc/pool.md).

`service` says what a user of it provides, `pool` is the parent, `worker` and `channel` are what a service sees.
"""

from lonc.pool.channel import Channel
from lonc.pool.listening import listen_tcp, listen_unix
from lonc.pool.pool import Pool
from lonc.pool.service import PoolRules, Service, Session
from lonc.pool.worker import Worker

__all__ = ["Channel", "Pool", "PoolRules", "Service", "Session", "Worker", "listen_tcp", "listen_unix"]
