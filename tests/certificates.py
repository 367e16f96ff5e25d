"""Certificates for tests, made by OpenSSL's command."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Files:
    cert: Path
    key: Path

    def copy_over(self, other: "Files") -> None:
        """Take the place of `other`, as a renewal does."""
        other.cert.write_bytes(self.cert.read_bytes())
        other.key.write_bytes(self.key.read_bytes())


def make(place: Path, name: str, *options: str) -> Files:
    """A self-signed certificate for localhost and 127.0.0.1, and its key of mode 0600."""
    files = Files(place / f"{name}.crt", place / f"{name}.key")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    names = ["-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    paths = ["-keyout", str(files.key), "-out", str(files.cert)]
    command = ["openssl", "req", "-x509", *curve, *names, *paths, "-days", "2", *(options or ["-nodes"])]
    subprocess.run(command, check=True, capture_output=True, timeout=20)
    files.key.chmod(0o600)
    return files
