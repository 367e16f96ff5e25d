"""The service's certificate: TLS 1.2 and later, with files that can be read anew while the service runs.

A connection that stands keeps the certificate that it began with. Source: the `ssl` module, `SSLContext.sni_callback`,
which is called for every handshake, also of a client that names no server.
"""

import os
import ssl
import stat
from pathlib import Path

from kernelwire.errors import CannotServe

_MINE = 0o077
_ROOTS = 0o037


class Certificate:
    """`context` is for the listening socket; it presents what the last successful `reload` has read."""

    def __init__(self, cert: str, key: str) -> None:
        """`cert`: PEM, the service's own certificate, then those of the chain; `key`: PEM, without a passphrase.

        Both absolute, or beginning with ~. Raises CannotServe.
        """
        self._cert = _path("serve.tls_cert", cert)
        self._key = _path("serve.tls_key", key)
        self._current = self._read()
        self.context = self._read()
        self.context.sni_callback = self._present

    def reload(self) -> None:
        """Present what the files hold now. Raises CannotServe; then what was presented before stays."""
        self._current = self._read()

    def content(self) -> bytes:
        """Certificate, chain and key as the files hold them, one after the other. Raises CannotServe."""
        try:
            return self._cert.read_bytes().rstrip() + b"\n" + self._key.read_bytes()
        except OSError as error:
            raise CannotServe(f"--tls-cert {self._cert}, --tls-key {self._key}: {error.strerror}") from None

    def _present(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current

    def _read(self) -> ssl.SSLContext:
        _check_key_file(self._key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self._cert, self._key, password=_no_passphrase)
        except ssl.SSLError as error:
            reason = (error.reason or "no PEM").lower().replace("_", " ")
            raise CannotServe(f"--tls-cert {self._cert}, --tls-key {self._key}: {reason}") from None
        except OSError as error:
            raise CannotServe(f"--tls-cert {self._cert}: {error.strerror}") from None
        except _Encrypted:
            raise CannotServe(f"--tls-key {self._key}: it has a passphrase; expected a key without one") from None
        return context


class _Encrypted(Exception):
    pass


def of_settings(cert: str, key: str) -> Certificate | None:
    """None if neither is set. Raises CannotServe."""
    if bool(cert) != bool(key):
        raise CannotServe("TLS takes both --tls-cert and --tls-key")
    return Certificate(cert, key) if cert else None


def _path(setting: str, text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_absolute():
        raise CannotServe(f"{setting}: expected an absolute path, or one that begins with ~, got {text}")
    return path


def _check_key_file(path: Path) -> None:
    """Nobody else may read the key: mode 0600 or less, and 0640 if it is root's. Raises CannotServe.

    Source: PostgreSQL, "Secure TCP/IP Connections with SSL", which has the same rule.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise CannotServe(f"--tls-key {path}: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        raise CannotServe(f"--tls-key {path}: this is no file")
    if found.st_uid not in (0, os.geteuid()):
        raise CannotServe(f"--tls-key {path}: it belongs to another user, who knows the key")
    mode = stat.S_IMODE(found.st_mode)
    if mode & (_ROOTS if found.st_uid == 0 else _MINE):
        raise CannotServe(f"--tls-key {path}: others may read or write it (mode {mode:04o}): chmod 600 it")


def _no_passphrase() -> str:
    """Called for an encrypted key only, for which OpenSSL would otherwise ask on the terminal."""
    raise _Encrypted
