"""X.509 certificates, CMS signatures and the headers they travel in: bytes in, bytes out, no I/O."""

from certs.authority import create_authority, issue_device_certificate
from certs.certificate_header import (
    CertificateHeaderStyle,
    format_certificate_header,
    parse_certificate_header,
)
from certs.cms import SignedData, parse_signed_data
from certs.device_certificate import (
    CertificateCache,
    DeviceCertificate,
    TrustedCertificate,
    check_validity,
    load_device_certificate,
)
from certs.device_signature import (
    DeviceSigner,
    device_signature_digest,
    sign_device_message,
    verify_device_signature,
    verify_device_signature_of_digest,
)
from certs.errors import (
    CertificateError,
    CertificateExpired,
    CertificateRefused,
    HeaderMalformed,
    MalformedDER,
    SignatureInvalid,
)
from certs.keys import (
    CurveName,
    PrivateKey,
    PublicKey,
    dump_private_key,
    generate_ec,
    generate_rsa,
    load_private_key,
)
from certs.trust import DeviceAuthority, DeviceTrust, load_pem_certificates

__all__ = [
    "CertificateCache",
    "CertificateError",
    "CertificateExpired",
    "CertificateHeaderStyle",
    "CertificateRefused",
    "CurveName",
    "DeviceAuthority",
    "DeviceCertificate",
    "DeviceSigner",
    "DeviceTrust",
    "HeaderMalformed",
    "MalformedDER",
    "PrivateKey",
    "PublicKey",
    "SignatureInvalid",
    "SignedData",
    "TrustedCertificate",
    "check_validity",
    "create_authority",
    "device_signature_digest",
    "dump_private_key",
    "format_certificate_header",
    "generate_ec",
    "generate_rsa",
    "issue_device_certificate",
    "load_device_certificate",
    "load_pem_certificates",
    "load_private_key",
    "parse_certificate_header",
    "parse_signed_data",
    "sign_device_message",
    "verify_device_signature",
    "verify_device_signature_of_digest",
]
