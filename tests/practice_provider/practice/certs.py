"""Certificates and keys of the practice provider, made once per directory and reused over restarts.

A restart on the same directory must present a certificate of the same CA: whoever trusts ca.pem goes on trusting it.
"""

import datetime
import ipaddress
import os
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
VALID_DAYS = 365
JWT_KEY_BITS = 2048


def write_private(path, data):
    """Writes a file that only its owner may read, replacing what was there in one step."""
    temporary = f"{path}.new"
    if os.path.exists(temporary):
        os.unlink(temporary)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(data)
    os.replace(temporary, path)


def _key_pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


def _name(common):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(subject, issuer, public_key, start, end):
    return (x509.CertificateBuilder().subject_name(_name(subject)).issuer_name(issuer)
            .public_key(public_key).serial_number(x509.random_serial_number())
            .not_valid_before(start).not_valid_after(end))


def _usage(*, sign_certificates):
    return x509.KeyUsage(digital_signature=not sign_certificates, key_cert_sign=sign_certificates,
                         crl_sign=sign_certificates, content_commitment=False, key_encipherment=False,
                         data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False)


class Authority:
    """One CA kept in a directory as NAME.pem and NAME.key."""

    def __init__(self, directory, name="ca"):
        self.directory = directory
        self.file = os.path.join(directory, f"{name}.pem")
        key_file = os.path.join(directory, f"{name}.key")
        if os.path.exists(self.file) and os.path.exists(key_file):
            with open(self.file, "rb") as f:
                self.certificate = x509.load_pem_x509_certificate(f.read())
            with open(key_file, "rb") as f:
                self.key = serialization.load_pem_private_key(f.read(), None)
            if self.certificate.not_valid_after - datetime.datetime.utcnow() > 30 * DAY:
                return
        self._make(name, key_file)

    def _make(self, name, key_file):
        self.key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.utcnow()
        title = f"practice provider {name}"
        self.certificate = (
            _builder(title, _name(title), self.key.public_key(), now - DAY, now + VALID_DAYS * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(sign_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256()))
        write_private(key_file, _key_pem(self.key))
        with open(self.file, "wb") as f:
            f.write(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, stem, common, hosts=(), addresses=(), start=-1, end=VALID_DAYS, client=False):
        """Issues STEM.pem and STEM.key; start and end are days from now. Returns the two paths."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.utcnow()
        names = [x509.DNSName(h) for h in hosts]
        names += [x509.IPAddress(ipaddress.ip_address(a)) for a in addresses]
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = (_builder(common, self.certificate.subject, key.public_key(), now + start * DAY, now + end * DAY)
                   .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                   .add_extension(_usage(sign_certificates=False), critical=True)
                   .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                                  critical=False))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        pem, key_file = (os.path.join(self.directory, f"{stem}.{suffix}") for suffix in ("pem", "key"))
        write_private(key_file, _key_pem(key))
        with open(pem, "wb") as f:
            f.write(certificate.public_bytes(serialization.Encoding.PEM))
        return pem, key_file

    def self_signed(self, stem, common, hosts, addresses):
        """STEM.pem and STEM.key: a certificate that nobody but its own key vouches for."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.utcnow()
        names = [x509.DNSName(h) for h in hosts] + [x509.IPAddress(ipaddress.ip_address(a)) for a in addresses]
        certificate = (_builder(common, _name(common), key.public_key(), now - DAY, now + 30 * DAY)
                       .add_extension(x509.SubjectAlternativeName(names), critical=False)
                       .sign(key, hashes.SHA256()))
        pem, key_file = (os.path.join(self.directory, f"{stem}.{suffix}") for suffix in ("pem", "key"))
        write_private(key_file, _key_pem(key))
        with open(pem, "wb") as f:
            f.write(certificate.public_bytes(serialization.Encoding.PEM))
        return pem, key_file

    def server_files(self):
        """The provider's own certificate: localhost, 127.0.0.1 and ::1. Issued anew at each start, by the same CA."""
        return self.issue("server", "localhost", ["localhost"], ["127.0.0.1", "::1"])


def server_context(pem, key_file):
    """A TLS server context of TLS 1.2 and up."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(pem, key_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


def load_signing_key(path):
    """The RSA key that signs JWT access tokens, kept so that tokens verify after a restart."""
    if os.path.exists(path):
        with open(path, "rb") as f:
            return serialization.load_pem_private_key(f.read(), None)
    key = rsa.generate_private_key(65537, JWT_KEY_BITS)
    write_private(path, _key_pem(key))
    return key
