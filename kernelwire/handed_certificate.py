"""Certificate and key on their way from a supervisor that is root to fronts that are not: a file in memory.

Nobody but root and the service's user can read it, it is on no disk and ends with the service. Running fronts see what
is written into it later. Source: memfd_create(2).
"""

import os

import msgspec

from kernelwire import tls
from kernelwire.credentials import as_root
from kernelwire.errors import CannotServe
from kernelwire.settings import ServeSettings, Settings

_MODE = 0o600


class HandedCertificate:
    """For a process that stepped down; `descriptor` is for `pass_fds`, `path` is where who inherits it finds it."""

    def __init__(self, settings: ServeSettings) -> None:
        """Raises CannotServe, OSError."""
        self._settings = settings
        self.descriptor = os.memfd_create("kernelwire-certificate", os.MFD_CLOEXEC)
        try:
            os.fchmod(self.descriptor, _MODE)
            self.read()
        except BaseException:
            os.close(self.descriptor)
            raise

    @property
    def path(self) -> str:
        return f"/proc/self/fd/{self.descriptor}"

    def read(self) -> None:
        """Take what the files hold now. Raises CannotServe; then what was handed on before stays.

        A front that starts in this very moment may read half of it: it ends then, and is started again.
        """
        with as_root():
            certificate = tls.of_settings(self._settings.tls_cert, self._settings.tls_key)
            content = certificate.content() if certificate is not None else b""
        os.pwrite(self.descriptor, content, 0)
        os.ftruncate(self.descriptor, len(content))

    def close(self) -> None:
        os.close(self.descriptor)


def settings_with(settings: Settings, certificate: HandedCertificate) -> Settings:
    """Settings for fronts, which find both in the one file."""
    serve = msgspec.structs.replace(settings.serve, tls_cert=certificate.path, tls_key=certificate.path)
    return msgspec.structs.replace(settings, serve=serve)


def of_settings(settings: ServeSettings) -> HandedCertificate | None:
    """None without TLS. Raises CannotServe, OSError."""
    if not settings.tls_cert and not settings.tls_key:
        return None
    try:
        return HandedCertificate(settings)
    except OSError as error:
        raise CannotServe(f"the certificate cannot be handed on: {error.strerror}") from None
