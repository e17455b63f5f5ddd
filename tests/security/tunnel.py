"""Owns a TLS tunnel of two ends, a listener on the line between them, and the certificates of both.

Each is a `Relay`: it takes connections at one address and makes one to another for each, with TLS on either side
or none. All of it runs in threads of the test and ends with it.
"""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import threading
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

WAIT_S = 30.0
PIECE = 65536


class Authority:
    """A certificate authority of a test's own, and the contexts of those who trust it alone."""

    def __init__(self, place: Path, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = name
        self._place = place
        self.path = place / f"{name}.pem"
        self._certificate = self._sign(name, self._key, self._key, issuer=name, authority=True)
        self.path.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def context(self, name: str, *, server: bool, trusts: Authority | None = None) -> ssl.SSLContext:
        """Return the context of one end, which has a certificate for `name` and demands one of `trusts` (self)."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(name, key, self._key, issuer=self._name, authority=False)
        path = self._place / f"{self._name}-{name}.pem"
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.touch(mode=0o600)
        path.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(path)
        context.load_verify_locations((trusts or self).path)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _sign(
        self, name: str, key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey, *, issuer: str,
        authority: bool,
    ) -> x509.Certificate:  # fmt: skip
        now = datetime.datetime.now(datetime.UTC)
        hour = datetime.timedelta(hours=1)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - hour)
            .not_valid_after(now + hour)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
        )
        return builder.sign(by, hashes.SHA256())


class Relay:
    """Passes connections on, and keeps all that it reads in `seen`.

    at: where it listens, port 0 for any. to: where each connection goes on, from the address `source` if given.
    accepts, dials: the TLS of that side, None for none; name: whom the dialed side must prove to be.
    """

    def __init__(
        self, at: tuple[str, int], to: tuple[str, int], *, source: str = "", accepts: ssl.SSLContext | None = None,
        dials: ssl.SSLContext | None = None, name: str = "",
    ) -> None:  # fmt: skip
        self._to = to
        self._source = (source, 0) if source else None
        self._accepts = accepts
        self._dials = dials
        self._name = name
        self._open: list[socket.socket] = []
        self.seen = bytearray()
        self.refusals: list[str] = []
        self._listener = socket.create_server(at)
        self.at: tuple[str, int] = self._listener.getsockname()[:2]
        threading.Thread(target=self._serve, daemon=True).start()

    def __str__(self) -> str:
        """Return where it listens, as loncVia has it."""
        return f"{self.at[0]}:{self.at[1]}"

    def close(self) -> None:
        """End it, and every connection."""
        for sock in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(sock)
            threading.Thread(target=self._join, args=(sock,), daemon=True).start()

    def _join(self, sock: socket.socket) -> None:
        """Make the other connection and pass on both ways until either ends."""
        try:
            near: socket.socket = sock
            near.settimeout(WAIT_S)
            if self._accepts is not None:
                near = self._accepts.wrap_socket(near, server_side=True)
                self._open.append(near)
            far = socket.create_connection(self._to, WAIT_S, self._source)
            if self._dials is not None:
                far = self._dials.wrap_socket(far, server_hostname=self._name)
            self._open.append(far)
        except OSError as error:  # ssl.SSLError is one
            self.refusals.append(str(error))
            sock.close()
            return
        near.settimeout(None)
        far.settimeout(None)
        for source, target in ((near, far), (far, near)):
            threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(PIECE):
                self.seen += data
                target.sendall(data)
        for sock in (source, target):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
