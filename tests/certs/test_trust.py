"""Which certificates are believed to be a device's: chains good and bad."""

import warnings
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs import (
    CertificateRefused,
    DeviceAuthority,
    DeviceTrust,
    MalformedDER,
    load_device_certificate,
    load_pem_certificates,
)

CA = x509.BasicConstraints(ca=True, path_length=None)


def trust(*roots: Any, intermediates: tuple[Any, ...] = (), name: str = "corp") -> DeviceTrust:
    return DeviceTrust(
        [
            DeviceAuthority(
                name=name,
                roots=tuple(root.der for root in roots),
                intermediates=tuple(intermediate.der for intermediate in intermediates),
            )
        ]
    )


def issuer_of(trust: DeviceTrust, identity: Any) -> str:
    return trust.issuer_of(load_device_certificate(identity.der))


def key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


@pytest.mark.parametrize("signer", ["rsa", "ec256", "ec384"])
def test_leaf_of_a_root_is_named_by_its_authority(signer: str, pki: Any) -> None:
    assert issuer_of(trust(pki.root), getattr(pki, signer)) == "corp"


def test_each_authority_is_told_from_the_others(pki: Any) -> None:
    other = pki.issue("Other Root", extensions=[CA])
    leaf = pki.issue("leaf", issuer=other)
    both = DeviceTrust(
        [
            DeviceAuthority(name="built-in", roots=(pki.root.der,)),
            DeviceAuthority(name="jamf", roots=(other.der,)),
        ]
    )

    assert (issuer_of(both, pki.rsa), issuer_of(both, leaf)) == ("built-in", "jamf")


def test_leaf_of_an_intermediate_is_accepted_up_to_the_root(pki: Any) -> None:
    intermediate = pki.issue("Intermediate", issuer=pki.root, extensions=[CA, key_usage(signs_certificates=True)])
    leaf = pki.issue("leaf", issuer=intermediate)

    assert issuer_of(trust(pki.root, intermediates=(intermediate,)), leaf) == "corp"
    with pytest.raises(CertificateRefused):
        issuer_of(trust(pki.root), leaf)


def test_intermediates_may_be_configured_in_any_order(pki: Any) -> None:
    upper = pki.issue("Upper", issuer=pki.root, extensions=[CA])
    lower = pki.issue("Lower", issuer=upper, extensions=[CA])
    leaf = pki.issue("leaf", issuer=lower)

    assert issuer_of(trust(pki.root, intermediates=(lower, upper)), leaf) == "corp"


def test_intermediate_whose_path_ends_nowhere_issues_nothing(pki: Any) -> None:
    elsewhere = pki.issue("Elsewhere", extensions=[CA])
    orphan = pki.issue("Orphan", issuer=elsewhere, extensions=[CA])
    configured = trust(pki.root, intermediates=(orphan,))

    with pytest.raises(CertificateRefused):
        issuer_of(configured, pki.issue("leaf", issuer=orphan))
    assert configured.problems == ("corp: no path leads from 'CN=Orphan' to a root",)


@pytest.mark.parametrize(("intermediates", "is_accepted"), [(4, True), (5, False)])
def test_paths_have_at_most_five_links(intermediates: int, is_accepted: bool, pki: Any) -> None:
    chain = [pki.root]
    for number in range(intermediates):
        chain.append(pki.issue(f"Intermediate {number}", issuer=chain[-1], extensions=[CA]))
    leaf = pki.issue("leaf", issuer=chain[-1])
    configured = trust(pki.root, intermediates=tuple(chain[1:]))

    if is_accepted:
        assert issuer_of(configured, leaf) == "corp"
    else:
        with pytest.raises(CertificateRefused):
            issuer_of(configured, leaf)


def test_path_length_of_a_ca_is_respected(pki: Any) -> None:
    root = pki.issue("Short Root", extensions=[x509.BasicConstraints(ca=True, path_length=0)])
    intermediate = pki.issue("Too Deep", issuer=root, extensions=[CA])
    configured = trust(root, intermediates=(intermediate,))

    assert issuer_of(configured, pki.issue("leaf", issuer=root)) == "corp"
    with pytest.raises(CertificateRefused):
        issuer_of(configured, pki.issue("leaf", issuer=intermediate))


def test_two_cas_of_one_name_are_told_apart_by_signature(pki: Any) -> None:
    old, new = (pki.issue("Rolled Over", extensions=[CA]) for _ in range(2))
    unused = pki.issue("Rolled Over", extensions=[CA])
    leaves = [pki.issue("leaf", issuer=issuer) for issuer in (old, new)]

    assert [issuer_of(trust(old, new), leaf) for leaf in leaves] == ["corp", "corp"]
    with pytest.raises(CertificateRefused, match="signature"):
        issuer_of(trust(unused), leaves[0])


def test_wrong_ca_is_refused(pki: Any) -> None:
    stranger = pki.issue("Stranger", extensions=[CA])

    with pytest.raises(CertificateRefused, match="CN=Stranger"):
        issuer_of(trust(pki.root), pki.issue("leaf", issuer=stranger))


@pytest.mark.parametrize(
    "extensions",
    [
        [],
        [x509.BasicConstraints(ca=False, path_length=None)],
        [CA, key_usage(signs_certificates=False)],
    ],
)
def test_issuer_that_is_no_ca_is_refused(extensions: list[x509.ExtensionType], pki: Any) -> None:
    root = pki.issue("No CA", extensions=extensions)
    intermediate = pki.issue("No CA either", issuer=pki.root, extensions=extensions)
    configured = trust(pki.root, root, intermediates=(intermediate,))

    for issuer in (root, intermediate):
        with pytest.raises(CertificateRefused):
            issuer_of(configured, pki.issue("leaf", issuer=issuer))
    assert len(configured.problems) == 2


def test_device_that_signs_for_another_is_refused(pki: Any) -> None:
    with pytest.raises(CertificateRefused):
        issuer_of(trust(pki.root), pki.issue("leaf", issuer=pki.ec256))


def test_ca_as_a_leaf_is_refused(pki: Any) -> None:
    root = pki.issue("RSA Root", rsa.generate_private_key(65537, 2048), extensions=[CA])
    intermediate = pki.issue("Intermediate", issuer=root, extensions=[CA])
    unknown = pki.issue("Unknown Intermediate", issuer=root, extensions=[CA])
    configured = trust(root, intermediates=(intermediate,))

    for identity in (root, intermediate, unknown):
        with pytest.raises(CertificateRefused, match="CA certificate"):
            issuer_of(configured, identity)


def test_self_signed_leaf_is_refused_even_under_the_name_of_a_ca(pki: Any) -> None:
    for name in ("nobody", "Device Root"):
        with pytest.raises(CertificateRefused):
            issuer_of(trust(pki.root), pki.issue(name))


def test_self_signed_leaf_is_refused_even_where_it_was_configured_as_a_root(pki: Any) -> None:
    leaf = pki.issue("lonely")

    with pytest.raises(CertificateRefused):
        issuer_of(trust(leaf), leaf)


def test_configured_certificate_that_is_no_ca_is_no_device_either(pki: Any) -> None:
    mistaken = pki.issue("Configured by mistake", issuer=pki.root)

    assert issuer_of(trust(pki.root), mistaken) == "corp"
    with pytest.raises(CertificateRefused, match="CA certificate"):
        issuer_of(trust(pki.root, intermediates=(mistaken,)), mistaken)


def test_key_of_a_root_under_another_name_makes_no_path(pki: Any) -> None:
    renamed = pki.issue("Renamed Root", pki.root.key, extensions=[CA])
    intermediate = pki.issue("Intermediate", issuer=renamed, extensions=[CA])

    with pytest.raises(CertificateRefused):
        issuer_of(trust(pki.root, intermediates=(intermediate,)), pki.issue("leaf", issuer=intermediate))


@pytest.mark.parametrize(
    ("usages", "is_accepted"),
    [
        ([ExtendedKeyUsageOID.SERVER_AUTH], False),
        ([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH], True),
        ([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE], True),
        (None, True),
    ],
)
def test_extended_key_usage_must_allow_clients(
    usages: list[x509.ObjectIdentifier] | None, is_accepted: bool, pki: Any
) -> None:
    extensions = [] if usages is None else [x509.ExtendedKeyUsage(usages)]
    leaf = pki.issue("leaf", issuer=pki.root, extensions=extensions)

    if is_accepted:
        assert issuer_of(trust(pki.root), leaf) == "corp"
    else:
        with pytest.raises(CertificateRefused, match="clientAuth"):
            issuer_of(trust(pki.root), leaf)


def test_crooked_extension_that_nobody_asks_for_does_not_turn_a_device_away(pki: Any) -> None:
    crooked = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), b"\x30\x03\x82\x01\xff")
    leaf = pki.issue("leaf", issuer=pki.root, extensions=[crooked])

    assert issuer_of(trust(pki.root), leaf) == "corp"


@pytest.mark.parametrize("algorithm", ["sha1", "sha224", "sha512"])
def test_chain_signed_by_openssl_with_an_old_hash_is_accepted(algorithm: str, openssl: Any, tmp_path: Path) -> None:
    root, leaf = openssl_chain(openssl, tmp_path, algorithm)

    configured = DeviceTrust([DeviceAuthority(name="apple", roots=(root,))])

    assert configured.issuer_of(load_device_certificate(leaf)) == "apple"


def test_chain_signed_with_md5_is_refused(openssl: Any, tmp_path: Path) -> None:
    root, leaf = openssl_chain(openssl, tmp_path, "md5")
    configured = DeviceTrust([DeviceAuthority(name="ancient", roots=(root,))])

    with pytest.raises(CertificateRefused):
        configured.issuer_of(load_device_certificate(leaf))


def test_chain_signed_with_pss_is_accepted(openssl: Any, tmp_path: Path) -> None:
    root, leaf = openssl_chain(openssl, tmp_path, "sha256", "-sigopt", "rsa_padding_mode:pss")
    configured = DeviceTrust([DeviceAuthority(name="modern", roots=(root,))])

    assert configured.issuer_of(load_device_certificate(leaf)) == "modern"


def test_root_with_the_serial_number_zero_is_accepted_without_a_warning(openssl: Any, tmp_path: Path) -> None:
    root = tmp_path / "root.pem"
    openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Zero", "-set_serial", "0"),
        *("-keyout", tmp_path / "key", "-out", root),
    )

    with warnings.catch_warnings(record=True) as warned:
        configured = DeviceTrust([DeviceAuthority(name="zero", roots=load_pem_certificates(root.read_bytes()))])

    assert (configured.problems, warned) == ((), [])


def test_ca_certificate_that_cannot_be_read_stops_the_configuration() -> None:
    with pytest.raises(MalformedDER):
        DeviceTrust([DeviceAuthority(name="broken", roots=(b"\x30\x00",))])


def test_pem_with_several_certificates_and_other_text_is_read(pki: Any) -> None:
    pem = b"# ours\r\n" + pki.root.certificate_file.read_bytes() + b"\n" + pki.rsa.certificate_file.read_bytes()

    assert load_pem_certificates(pem) == (pki.root.der, pki.rsa.der)


@pytest.mark.parametrize(
    ("pem", "complaint"),
    [
        (b"", "no certificate"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n", "certificate 1 in the PEM has no end"),
        (b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "certificate 1 .* base64"),
        (b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "certificate 1 .* not a certificate"),
    ],
)
def test_pem_without_readable_certificates_says_what_is_wrong(pem: bytes, complaint: str) -> None:
    with pytest.raises(MalformedDER, match=complaint):
        load_pem_certificates(pem)


def openssl_chain(openssl: Any, directory: Path, algorithm: str, *options: str) -> tuple[bytes, bytes]:
    """A root and a leaf signed with a hash that the `cryptography` builder no longer signs with."""
    root, root_key = directory / "root.pem", directory / "root.key"
    leaf, leaf_key, request = directory / "leaf.pem", directory / "leaf.key", directory / "leaf.csr"
    openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Old Device CA", "-sha1"),
        *("-keyout", root_key, "-out", root),
    )
    openssl("req", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=old", "-keyout", leaf_key, "-out", request)
    openssl(
        *("x509", "-req", "-in", request, "-CA", root, "-CAkey", root_key, "-set_serial", "5"),
        *(f"-{algorithm}", "-out", leaf),
        *options,
    )
    (root_der,), (leaf_der,) = (load_pem_certificates(path.read_bytes()) for path in (root, leaf))
    return root_der, leaf_der
