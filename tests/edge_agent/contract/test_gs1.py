"""GS1 keys against the published vectors, and against themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.gs1 import check_digit, decode_epc, epc_from_base64, parse_gln, parse_gtin

GOLDEN = Path(__file__).parents[2] / "golden" / "devices.json"
VECTORS: list[dict[str, Any]] = json.loads(GOLDEN.read_text(encoding="utf-8"))["vectors"]


def of(protocol: str) -> list[Any]:
    return [pytest.param(v, id=v["id"]) for v in VECTORS if v["protocol"] == protocol]


@pytest.mark.parametrize("vector", of("gs1-check-digit"))
def test_check_digit_of_every_vector(vector: dict[str, Any]) -> None:
    assert check_digit(vector["in"]["text"]) == vector["out"]["check_digit"]


@pytest.mark.parametrize("vector", of("epc"))
def test_an_epc_names_its_item_or_nothing(vector: dict[str, Any]) -> None:
    found, expected = decode_epc(vector["in"]["hex"].lower()), vector["out"]
    if "tag_uri" not in expected:
        assert found is None, expected["reason"]
        return
    assert found is not None
    _, company, item, serial = expected["tag_uri"].split(":", 4)[4].split(".", 3)
    assert found.serial == unquote(serial)
    body = item[0] + company + item[1:]
    assert found.gtin == body + str(check_digit(body)) == expected.get("gtin14", found.gtin)


@given(st.text(max_size=60))
def test_no_text_makes_an_epc_raise(text: str) -> None:
    decode_epc(text)
    epc_from_base64(text)


@given(st.binary(min_size=1, max_size=62))
def test_no_tag_content_makes_an_epc_raise(content: bytes) -> None:
    decode_epc(content.hex())


@given(st.text("0123456789", min_size=13, max_size=13))
def test_a_gtin_with_any_other_check_digit_is_refused(body: str) -> None:
    digit = check_digit(body)
    assert parse_gtin(body + str(digit)) == body + str(digit)
    for wrong in set(range(10)) - {digit}:
        with pytest.raises(ValueError, match=f"expected {digit}"):
            parse_gtin(body + str(wrong))


def test_short_gtins_are_padded_to_fourteen_digits() -> None:
    assert parse_gtin("96385074") == "00000096385074"
    assert parse_gtin("4006381333931") == "04006381333931"


@pytest.mark.parametrize("text", ["", "123", "400638133393x", "４００６３８１３３３９３１", "-4006381333931"])
def test_what_is_no_gtin_says_so(text: str) -> None:
    with pytest.raises(ValueError, match="digits"):
        parse_gtin(text)


def test_a_gln_has_thirteen_digits_and_a_check_digit() -> None:
    assert parse_gln("4012345000009") == "4012345000009"
    with pytest.raises(ValueError, match="13 digits"):
        parse_gln("04012345000009")


@pytest.mark.parametrize("text", ["ikUCJA==", "ikUCJA", " ikUCJA== "])
def test_base64_epcs_with_and_without_padding(text: str) -> None:
    assert epc_from_base64(text) == "8a450224"


def test_both_base64_alphabets_name_the_same_epc() -> None:
    assert (
        epc_from_base64("4oARYGAAAgpmgfI_")
        == epc_from_base64("4oARYGAAAgpmgfI/")
        == "e28011606000020a6681f23f"
    )
