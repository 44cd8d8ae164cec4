"""A camera's login: which of its challenges are answered, and what a senseless one does."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from edge_agent.vision.login import Login, digest_challenge

ADDRESS = urlsplit("http://admin:secret@10.0.0.7/video")
MD5 = 'Digest realm="cam", nonce="7", qop="auth", algorithm=MD5'
SHA_256 = 'Digest realm="cam", nonce="7", qop="auth", algorithm=SHA-256'


@pytest.mark.parametrize(
    ("challenges", "answered"),
    [
        ([SHA_256, MD5], MD5),  # RFC 7616, 3.7: the server lists what it prefers first
        (['Basic realm="cam"', MD5], MD5),
        ([SHA_256], None),
        (['Basic realm="cam"'], None),
        ([], None),
    ],
)
def test_the_first_digest_that_can_be_given_is_answered(challenges: list[str], answered: str | None) -> None:
    assert digest_challenge(challenges) == answered


def test_an_answer_holds_the_user_and_never_the_password() -> None:
    answer = Login.of(ADDRESS).digest(MD5, method="GET", uri="/video", address=ADDRESS)
    assert 'username="admin"' in answer
    assert "secret" not in answer


def test_a_senseless_challenge_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="empty"):
        Login.of(ADDRESS).digest('Digest realm="a", nonce=, x="y"', method="GET", uri="/", address=ADDRESS)
