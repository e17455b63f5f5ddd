"""The client library: what a program of this server asks other servers, through the sockets of lonc.

`network` is the face of it and shows all there is; `sockets` is one exchange, `connections` many, `waking` the
call to lonc, `finding` homes and spare servers, `users` and `server` what is asked most, `fields` the coding of
values, `answers` what comes back. Importing this package imports none of them: take `Network` from `network`.
"""
