"""X.509 certificates, CMS, SCEP and the headers they travel in: bytes in, bytes out, no I/O."""

from certs.algorithms import Digest
from certs.authority import Authority, create_authority, issue_device_certificate
from certs.certificate_cache import CertificateCache, TrustedCertificate
from certs.certificate_header import CertificateHeaderStyle, format_certificate_header, parse_certificate_header
from certs.ciphers import Cipher
from certs.cms import SignedData, parse_signed_data
from certs.crl import RevocationReason
from certs.csr import CertificateRequest, parse_csr
from certs.csr_writer import create_csr
from certs.device_certificate import DeviceCertificate, check_validity, load_device_certificate
from certs.device_signature import (
    DeviceSigner,
    device_signature_digest,
    sign_device_message,
    verify_device_signature,
    verify_device_signature_of_digest,
)
from certs.envelope import open_envelope, seal_envelope
from certs.errors import (
    CertificateError,
    CertificateExpired,
    CertificateRefused,
    DecryptionFailed,
    HeaderMalformed,
    MalformedDER,
    SignatureInvalid,
)
from certs.identity_file import IdentityFile, certificates_in, read_identity_file
from certs.keys import (
    CurveName,
    PrivateKey,
    PublicKey,
    RSAKey,
    dump_private_key,
    dump_public_key,
    generate_ec,
    generate_rsa,
    load_private_key,
    load_public_key,
)
from certs.mdmcert import create_encryption_certificate, decrypt_mdmcert_file, mdmcert_request
from certs.policy import CertificateProfile, KeyPolicy, enrollment_id_of, server_names_of
from certs.push_certificate import PushCertificate, load_push_identity, read_push_certificate
from certs.push_request import SignedPushRequest, push_csr, read_push_request, upload_file
from certs.scep import SCEPRequest, parse_request
from certs.scep_client import SCEPReply, build_request, create_signer_certificate, issuer_and_subject, parse_reply
from certs.scep_http import (
    SCEPBody,
    SCEPMediaType,
    ca_capabilities,
    ca_certificates,
    decode_get_message,
    next_ca_certificate,
)
from certs.scep_message import FailInfo, MessageType, PKIStatus, RequestRefused, SCEPMessage
from certs.scep_reply import build_failure, build_pending, build_success
from certs.trust import DeviceAuthority, DeviceTrust, load_pem_certificates

__all__ = [
    "Authority",
    "CertificateCache",
    "CertificateError",
    "CertificateExpired",
    "CertificateHeaderStyle",
    "CertificateProfile",
    "CertificateRefused",
    "CertificateRequest",
    "Cipher",
    "CurveName",
    "DecryptionFailed",
    "DeviceAuthority",
    "DeviceCertificate",
    "DeviceSigner",
    "DeviceTrust",
    "Digest",
    "FailInfo",
    "HeaderMalformed",
    "IdentityFile",
    "KeyPolicy",
    "MalformedDER",
    "MessageType",
    "PKIStatus",
    "PrivateKey",
    "PublicKey",
    "PushCertificate",
    "RSAKey",
    "RequestRefused",
    "RevocationReason",
    "SCEPBody",
    "SCEPMediaType",
    "SCEPMessage",
    "SCEPReply",
    "SCEPRequest",
    "SignatureInvalid",
    "SignedData",
    "SignedPushRequest",
    "TrustedCertificate",
    "build_failure",
    "build_pending",
    "build_request",
    "build_success",
    "ca_capabilities",
    "ca_certificates",
    "certificates_in",
    "check_validity",
    "create_authority",
    "create_csr",
    "create_encryption_certificate",
    "create_signer_certificate",
    "decode_get_message",
    "decrypt_mdmcert_file",
    "device_signature_digest",
    "dump_private_key",
    "dump_public_key",
    "enrollment_id_of",
    "format_certificate_header",
    "generate_ec",
    "generate_rsa",
    "issue_device_certificate",
    "issuer_and_subject",
    "load_device_certificate",
    "load_pem_certificates",
    "load_private_key",
    "load_public_key",
    "load_push_identity",
    "mdmcert_request",
    "next_ca_certificate",
    "open_envelope",
    "parse_certificate_header",
    "parse_csr",
    "parse_reply",
    "parse_request",
    "parse_signed_data",
    "push_csr",
    "read_identity_file",
    "read_push_certificate",
    "read_push_request",
    "seal_envelope",
    "server_names_of",
    "sign_device_message",
    "upload_file",
    "verify_device_signature",
    "verify_device_signature_of_digest",
]
