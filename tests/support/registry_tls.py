"""Certificates for tests, made with the openssl program."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

_NEW_KEY = ["-newkey", "rsa:2048", "-nodes"]


@dataclass(frozen=True, slots=True)
class Certificates:
    """A server's certificate with its key, and the authority that signed it; all PEM files."""

    authority: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path, *more_names: str) -> Certificates:
    """An authority of its own and a certificate for 127.0.0.1, localhost and `more_names` ("DNS:..."), for two days."""
    made = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    self_signed(made.authority, folder / "ca.key", "test authority")
    request, names = folder / "server.csr", folder / "names"
    names.write_text(f"subjectAltName={','.join(['IP:127.0.0.1', 'DNS:localhost', *more_names])}\n")
    _openssl("req", *_NEW_KEY, "-keyout", made.key, "-out", request, "-subj", "/CN=localhost")
    signer: list[str | Path] = ["-CA", made.authority, "-CAkey", folder / "ca.key", "-set_serial", "2"]
    _openssl("x509", "-req", "-in", request, *signer, "-days", "2", "-extfile", names, "-out", made.certificate)
    return made


def self_signed(certificate: Path, key: Path, name: str) -> None:
    """A certificate that signs itself."""
    _openssl("req", "-x509", *_NEW_KEY, "-keyout", key, "-out", certificate, "-days", "2", "-subj", f"/CN={name}")


def sign(key: Path, data: bytes) -> bytes:
    """The RSA signature with SHA-256 of the data."""
    return _openssl("dgst", "-sha256", "-sign", key, data=data)


def der(certificate: Path) -> bytes:
    """The certificate without its PEM clothes."""
    return _openssl("x509", "-in", certificate, "-outform", "DER")


def _openssl(*arguments: str | Path, data: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True).stdout
