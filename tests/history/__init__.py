"""Histories: what clients, a writer of messages and the peers saw, and the check that no promise was broken."""
