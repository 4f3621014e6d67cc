"""Envelopes to and from openssl, in every form that clients write; and one answer for every fault."""

from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms as asn1_cms
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers import modes

from certs import CertificateError, CertificateRefused, Cipher, DecryptionFailed, open_envelope, seal_envelope
from certs import der as write
from certs.apple_encoding import as_apple_writes
from certs.cms import DATA
from certs.envelope import ENVELOPED_DATA, MAX_RECIPIENTS
from tests.certs.scep_parties import rsa_key

WRITTEN = [cipher for cipher in Cipher if cipher is not Cipher.DES_CBC]
CONTENT = bytes(range(256)) * 12
KEY_OF_DES = b"8 octets"
AES_128 = "2.16.840.1.101.3.4.1.2"
AES_128_IDENTIFIER = write.sequence(write.object_identifier(AES_128), write.octet_string(bytes(16)))


@pytest.fixture(scope="module")
def reader(pki: Any) -> Any:
    return pki.issue("reader", rsa_key("device"))


def opened(encoded: bytes, reader: Any, **options: Any) -> bytes:
    return open_envelope(encoded, reader.der, reader.key, **options)


def cms_encrypt(openssl: Any, *options: str | Path, content: bytes = CONTENT) -> bytes:
    encrypted: bytes = openssl("cms", "-encrypt", "-binary", "-outform", "DER", *options, stdin=content)
    return encrypted


def single_des(reader: Any, *, pieces: bool = False) -> bytes:
    """As scepclient writes: single DES, the content in pieces of definite length."""
    encryptor = BlockCipher(TripleDES(KEY_OF_DES * 3), modes.CBC(bytes(8))).encryptor()
    encrypted = encryptor.update(b"sixteen octets!!" + b"\x08" * 8)
    fields = asn1_cms.ContentInfo.load(seal_envelope(b"", reader.der))["content"]["recipient_infos"][0].chosen
    content = (
        write.element(0xA0, write.octet_string(encrypted[:8]), write.octet_string(encrypted[8:]))
        if pieces
        else write.element(0x80, encrypted)
    )
    return envelope(
        write.sequence(
            write.integer(0),
            fields["rid"].chosen.dump(),
            fields["key_encryption_algorithm"].dump(),
            write.octet_string(reader.key.public_key().encrypt(KEY_OF_DES, padding.PKCS1v15())),
        ),
        algorithm=write.sequence(write.object_identifier("1.3.14.3.2.7"), write.octet_string(bytes(8))),
        content=content,
    )


def envelope(*recipients: bytes, algorithm: bytes, content: bytes) -> bytes:
    encrypted = write.sequence(DATA, algorithm, content)
    enveloped = write.sequence(write.integer(0), write.set_of(*recipients), encrypted)
    return write.sequence(ENVELOPED_DATA, write.explicit(0, enveloped))


@pytest.mark.parametrize("cipher", WRITTEN)
def test_envelope_is_opened_by_openssl(cipher: Cipher, reader: Any, openssl: Any) -> None:
    sealed = seal_envelope(CONTENT, reader.der, cipher=cipher)

    decrypted = openssl(
        *("cms", "-decrypt", "-binary", "-inform", "DER"),
        *("-recip", reader.certificate_file, "-inkey", reader.key_file),
        stdin=sealed,
    )

    assert decrypted == CONTENT


@pytest.mark.parametrize("cipher", WRITTEN)
@pytest.mark.parametrize("streamed", [(), ("-stream",)], ids=["definite", "indefinite"])
@pytest.mark.parametrize("named", [(), ("-keyid",)], ids=["issuer", "key identifier"])
def test_envelope_of_openssl_is_opened(
    cipher: Cipher, streamed: tuple[str, ...], named: tuple[str, ...], reader: Any, openssl: Any
) -> None:
    option = "-" + cipher.replace("des-ede3-cbc", "des3")

    encrypted = cms_encrypt(openssl, option, *streamed, *named, "-recip", reader.certificate_file)

    assert bool(streamed) == (encrypted[1] == 0x80)
    assert opened(encrypted, reader) == CONTENT


@pytest.mark.parametrize("cipher", WRITTEN)
def test_envelope_says_the_same_to_asn1crypto(cipher: Cipher, reader: Any) -> None:
    content = asn1_cms.ContentInfo.load(seal_envelope(CONTENT, reader.der, cipher=cipher), strict=True)["content"]

    info = content["encrypted_content_info"]
    assert info["content_type"].native == "data"
    algorithm = info["content_encryption_algorithm"]
    assert (algorithm.encryption_cipher, algorithm.encryption_mode) == (
        cipher.split("-")[0].replace("des", "tripledes"),
        "cbc",
    )
    assert [recipient.name for recipient in content["recipient_infos"]] == ["ktri"]


def test_our_recipient_is_found_among_several(pki: Any, reader: Any, openssl: Any) -> None:
    others = (pki.root.certificate_file, pki.rsa.certificate_file, pki.ec256.certificate_file)

    encrypted = cms_encrypt(openssl, "-aes128", *others, reader.certificate_file)

    assert opened(encrypted, reader) == CONTENT


def test_apple_encoding_is_opened_by_openssl_and_by_us(reader: Any, openssl: Any) -> None:
    loose = as_apple_writes(seal_envelope(CONTENT, reader.der))

    assert loose[1] == 0x80
    assert opened(loose, reader) == CONTENT
    keys = ("-recip", reader.certificate_file, "-inkey", reader.key_file)
    assert openssl("cms", "-decrypt", "-binary", "-inform", "DER", *keys, stdin=loose) == CONTENT


@pytest.mark.parametrize("pieces", [False, True], ids=["one piece", "definite pieces"])
def test_single_des_is_read_only_where_it_is_allowed(pieces: bool, reader: Any) -> None:
    encoded = single_des(reader, pieces=pieces)

    assert opened(encoded, reader, allow_des=True) == b"sixteen octets!!"
    with pytest.raises(DecryptionFailed):
        opened(encoded, reader)


def test_operator_can_learn_that_single_des_was_the_reason(reader: Any) -> None:
    with pytest.raises(DecryptionFailed) as failed:
        opened(single_des(reader), reader)

    assert "single DES" in str(failed.value.__cause__)


def test_single_des_is_never_written(reader: Any) -> None:
    with pytest.raises(ValueError, match="DES"):
        seal_envelope(b"x", reader.der, cipher=Cipher.DES_CBC)


def test_no_envelope_to_an_ec_key(pki: Any) -> None:
    with pytest.raises(CertificateRefused, match="RSA"):
        seal_envelope(b"x", pki.ec256.der)


def test_keys_and_vectors_come_from_the_source_of_randomness_given(reader: Any) -> None:
    asked: list[int] = []

    def constant(octets: int) -> bytes:
        asked.append(octets)
        return bytes(octets)

    sealed = seal_envelope(CONTENT, reader.der, cipher=Cipher.AES_192_CBC, random_bytes=constant)

    assert asked == [24, 16]
    assert opened(sealed, reader) == CONTENT


def faults(reader: Any, pki: Any) -> dict[str, bytes]:
    """The same envelope damaged in each of the places where decryption can go wrong, and nowhere else."""
    good = seal_envelope(CONTENT, reader.der, cipher=Cipher.AES_128_CBC)
    info = asn1_cms.ContentInfo.load(good)["content"]
    recipient = info["recipient_infos"][0].chosen
    encrypted_key = recipient["encrypted_key"].native
    encrypted = info["encrypted_content_info"]["encrypted_content"].native
    vector = info["encrypted_content_info"]["content_encryption_algorithm"]["parameters"].native
    public = reader.key.public_key()

    def put_together(key: bytes = encrypted_key, oid: str = AES_128, content: bytes = encrypted) -> bytes:
        named = (recipient["rid"].chosen.dump(), recipient["key_encryption_algorithm"].dump())
        return envelope(
            write.sequence(write.integer(0), *named, write.octet_string(key)),
            algorithm=write.sequence(write.object_identifier(oid), write.octet_string(vector)),
            content=write.element(0x80, content),
        )

    assert opened(put_together(), reader) == CONTENT
    return {
        "another key": put_together(key=public.encrypt(bytes(16), padding.PKCS1v15())),
        "a key too short": put_together(key=public.encrypt(bytes(15), padding.PKCS1v15())),
        "a key too long": put_together(key=public.encrypt(bytes(32), padding.PKCS1v15())),
        "wrong padding of the key": put_together(key=encrypted_key[:-1] + bytes([encrypted_key[-1] ^ 1])),
        "a number above the modulus": put_together(key=b"\xff" * 256),
        "zero": put_together(key=bytes(256)),
        "a key of another length": put_together(key=encrypted_key[:-1]),
        "no key": put_together(key=b""),
        "wrong padding": put_together(content=encrypted[:-17] + bytes([encrypted[-17] ^ 0xFF]) + encrypted[-16:]),
        "no whole block": put_together(content=encrypted[:-1]),
        "nothing": put_together(content=b""),
        "an unknown cipher": put_together(oid="2.16.840.1.101.3.4.1.6"),
        "a cipher with a longer key": put_together(oid="2.16.840.1.101.3.4.1.42"),
        "a cipher with shorter blocks": put_together(oid="1.2.840.113549.3.7"),
        "single DES": single_des(reader),
        "someone else": seal_envelope(CONTENT, pki.rsa.der),
        "no recipient": envelope(algorithm=AES_128_IDENTIFIER, content=b"\x80\x00"),
        "nothing at all": b"",
        "cut off": good[:-1],
        "other data": write.sequence(DATA),
    }


ANOTHER_CONTENT_KEY = ("another key", "a key too short", "a key too long", "wrong padding of the key", "zero")
ANOTHER_CONTENT_KEY += ("a number above the modulus", "a key of another length", "no key", "a cipher with a longer key")


def failure(what: str, encoded: bytes, reader: Any) -> CertificateError | None:
    """What opening it raises; None for the wrong key in 256 whose garbage happens to end like padding."""
    try:
        garbage = opened(encoded, reader)
    except CertificateError as error:
        return error
    assert what in ANOTHER_CONTENT_KEY, f"{what} was opened"
    assert garbage != CONTENT
    return None


def test_every_fault_of_decryption_has_the_same_answer(reader: Any, pki: Any) -> None:
    failures = [failure(what, encoded, reader) for what, encoded in faults(reader, pki).items()]

    answers = {(type(error), str(error)) for error in failures if error is not None}
    assert answers == {(DecryptionFailed, "the envelope cannot be opened")}


def test_nothing_that_a_key_was_needed_for_is_told_even_to_the_operator(reader: Any, pki: Any) -> None:
    needed_a_key = {what: faults(reader, pki)[what] for what in (*ANOTHER_CONTENT_KEY, "wrong padding")}

    failures = [failure(what, encoded, reader) for what, encoded in needed_a_key.items()]

    assert any(failures)
    assert {error.__cause__ for error in failures if error is not None} == {None}


def test_more_recipients_than_anyone_has_are_refused(reader: Any) -> None:
    recipient = write.sequence(write.integer(0), write.sequence(), write.sequence(), write.octet_string(b""))
    crowd = [recipient] * (MAX_RECIPIENTS + 1)

    with pytest.raises(DecryptionFailed) as failed:
        opened(envelope(*crowd, algorithm=AES_128_IDENTIFIER, content=b"\x80\x00"), reader)

    assert "17 recipients" in str(failed.value.__cause__)


def test_envelope_cut_off_anywhere_is_an_error_of_ours(reader: Any) -> None:
    good = seal_envelope(CONTENT[:100], reader.der)

    for length in range(0, len(good), 3):
        with pytest.raises(DecryptionFailed):
            opened(good[:length], reader)


def test_flipped_bits_open_nothing_or_other_content(reader: Any) -> None:
    """An envelope proves nothing; who wrote it is for the signature around it to say."""
    good = seal_envelope(CONTENT[:100], reader.der)

    for position in range(0, len(good), 3):
        damaged = good[:position] + bytes([good[position] ^ 0x10]) + good[position + 1 :]
        try:
            opened(damaged, reader)
        except CertificateError as error:
            assert type(error) is DecryptionFailed  # noqa: PT017  # some damage opens, and that is fine
