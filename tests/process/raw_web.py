"""Owns a test's web server of raw resources, well behaved or as a test says, on an address of its own."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.process.peer import next_address

Deed = Callable[[BaseHTTPRequestHandler], None]


class RawWeb:
    """Serves `files` (path -> content) as long as it is open; asked: every path and Host line that came.

    deeds: what is done instead of an answer, by path. tls: a certificate file with its key, for https.
    """

    def __init__(self, tls: Path | None = None) -> None:
        self.files: dict[str, bytes] = {}
        self.deeds: dict[str, Deed] = {}
        self.asked: list[tuple[str, str]] = []
        self.address = next_address()
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append((self.path, self.headers.get("Host", "")))
                web.answer(self)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer((self.address, 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request: the deed of its path, its file, or 404."""
        if request.path in self.deeds:
            self.deeds[request.path](request)
        elif request.path in self.files:
            send(request, 200, self.files[request.path])
        else:
            send(request, 404, b"nothing here")

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(20)


def send(request: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    """Send a whole answer; headers replace Content-Length where they name it, '' leaves one out."""
    request.send_response(status)
    for name, value in ({"Content-Length": str(len(body))} | headers).items():
        if value:
            request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)


def certificate(path: Path, name: str) -> Path:
    """Write a certificate for a name, its own authority, and its key into one file; return the file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    names: list[x509.GeneralName] = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, form, plain)
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path
