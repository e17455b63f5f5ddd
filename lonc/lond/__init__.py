"""The server: the other end of lonc's links, with the users' data behind it (lond.md)."""
