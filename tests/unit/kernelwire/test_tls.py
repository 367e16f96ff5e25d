"""The service's certificate: which files are taken, and that new ones are presented to new connections only."""

import ssl
from pathlib import Path

import pytest

from kernelwire import tls
from kernelwire.errors import CannotServe
from kernelwire.tls import Certificate
from tests import certificates
from tests.certificates import Files


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return certificates.make(tmp_path, "first")


def shake(certificate: Certificate, client: ssl.SSLContext | None = None) -> ssl.SSLObject:
    """A handshake in memory. The client's end; raises SSLError."""
    if client is None:
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server)
    theirs = certificate.context.wrap_bio(to_server, to_client, server_side=True)
    waiting = [ours, theirs]
    for _ in range(10):
        for end in tuple(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                continue
        if not waiting:
            return ours
    raise AssertionError("the handshake does not end")


def presented(end: ssl.SSLObject) -> str:
    der = end.getpeercert(binary_form=True)
    assert der is not None
    return ssl.DER_cert_to_PEM_cert(der)


def test_neither_file_is_no_tls_and_one_is_refused(files: Files) -> None:
    assert tls.of_settings("", "") is None
    for given in ((str(files.cert), ""), ("", str(files.key))):
        with pytest.raises(CannotServe, match="both --tls-cert and --tls-key"):
            tls.of_settings(*given)


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o602, 0o606, 0o620])
def test_a_key_that_others_can_read_is_refused(files: Files, mode: int) -> None:
    files.key.chmod(mode)
    with pytest.raises(CannotServe, match=f"mode {mode:04o}.*chmod 600"):
        tls.of_settings(str(files.cert), str(files.key))


def test_what_cannot_be_read_is_said_in_a_sentence(files: Files, tmp_path: Path) -> None:
    other = certificates.make(tmp_path, "other")
    for cert, key, words in (
        (str(files.cert), str(tmp_path / "none"), "No such file"),
        (str(tmp_path / "none"), str(files.key), "No such file"),
        (str(files.cert), str(other.key), "key values mismatch"),
        (str(files.key), str(files.key), "--tls-cert"),
        (str(files.cert), str(tmp_path), "no file"),
        ("first.crt", str(files.key), "absolute path"),
    ):
        with pytest.raises(CannotServe, match=words):
            tls.of_settings(cert, key)


def test_a_key_with_a_passphrase_is_refused_and_not_asked_for(tmp_path: Path) -> None:
    files = certificates.make(tmp_path, "locked", "-passout", "pass:correct horse")
    with pytest.raises(CannotServe, match="passphrase"):
        tls.of_settings(str(files.cert), str(files.key))


def test_new_files_are_for_new_connections(files: Files, tmp_path: Path) -> None:
    certificate = Certificate(str(files.cert), str(files.key))
    old = shake(certificate)
    first = files.cert.read_text()
    certificates.make(tmp_path, "second").copy_over(files)
    assert presented(shake(certificate)) == first  # nothing is read before it is asked for
    certificate.reload()
    assert presented(shake(certificate)) == files.cert.read_text() != first
    assert presented(old) == first


@pytest.mark.parametrize("broken", ["cert", "key", "mode"])
def test_a_broken_file_changes_nothing(files: Files, broken: str) -> None:
    certificate = Certificate(str(files.cert), str(files.key))
    first = files.cert.read_text()
    if broken == "mode":
        files.key.chmod(0o644)
    else:
        (files.cert if broken == "cert" else files.key).write_text("half a file")
    with pytest.raises(CannotServe):
        certificate.reload()
    assert presented(shake(certificate)) == first


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
def test_nothing_older_than_tls_1_2(files: Files) -> None:
    certificate = Certificate(str(files.cert), str(files.key))
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.set_ciphers("ALL:@SECLEVEL=0")
    client.minimum_version = ssl.TLSVersion.TLSv1
    client.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        shake(certificate, client)
    client.maximum_version = client.minimum_version = ssl.TLSVersion.TLSv1_2
    assert shake(certificate, client).version() == "TLSv1.2"
