"""The DER writer, with asn1crypto as the judge."""

import pytest
from asn1crypto import core
from hypothesis import given
from hypothesis import strategies as st

from certs import der
from certs.ber import Reader


@given(st.integers(min_value=-(2**200), max_value=2**200))
def test_integers_are_written_as_asn1crypto_writes_them(value: int) -> None:
    assert der.integer(value) == core.Integer(value).dump()


@pytest.mark.parametrize("length", [0, 1, 127, 128, 255, 256, 65535, 65536])
def test_lengths_are_written_as_asn1crypto_writes_them(length: int) -> None:
    assert der.octet_string(b"x" * length) == core.OctetString(b"x" * length).dump()


@pytest.mark.parametrize("dotted", ["1.2.840.113549.1.7.2", "2.5.29.37.0", "0.9.2342.19200300.100.1.1", "2.999.3"])
def test_object_identifiers_are_written_as_asn1crypto_writes_them(dotted: str) -> None:
    assert der.object_identifier(dotted) == core.ObjectIdentifier(dotted).dump()


@pytest.mark.parametrize("value", [True, False])
def test_booleans_are_written_as_asn1crypto_writes_them(value: bool) -> None:
    assert der.boolean(value) == core.Boolean(value).dump()


def test_sets_are_in_the_order_of_their_encodings() -> None:
    assert der.set_of(der.octet_string(b"b"), der.integer(3), der.octet_string(b"a")) == bytes.fromhex(
        "3109 020103 040161 040162"
    )


@given(st.recursive(st.binary(max_size=40), lambda inner: st.lists(inner, max_size=4), max_leaves=30))
def test_what_is_written_is_read_back(tree: object) -> None:
    encoded = written(tree)
    reader = Reader(encoded)

    assert reader.definite(reader.root()) == encoded


def written(tree: object) -> bytes:
    if isinstance(tree, bytes):
        return der.octet_string(tree)
    assert isinstance(tree, list)
    return der.explicit(0, *map(written, tree))
