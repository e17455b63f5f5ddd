"""Who waits for which reply: clients, queue, in flight; decides answer, con_lost, delayed first."""

from lonc.relay.client import Client
from lonc.relay.counters import BUCKETS, Counters
from lonc.relay.lane import Lane, Queued, Sent
from lonc.relay.relay import Relay

__all__ = ["BUCKETS", "Client", "Counters", "Lane", "Queued", "Relay", "Sent"]
