"""The client library: what a program of this server asks other servers, through the sockets of lonc."""
