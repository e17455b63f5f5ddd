"""Owns the state machine: relay, link and delayed queue together, without sockets, against a simple model."""
