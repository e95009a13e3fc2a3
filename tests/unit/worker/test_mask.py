"""What looks like a secret is hidden, wherever it stands, and nothing else is."""

from __future__ import annotations

import pytest

from worker.mask import HIDDEN, mask


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("redis://:hunter2@10.0.0.1/0", f"redis://:{HIDDEN}@10.0.0.1/0"),
        ("postgresql://winch:p%40ss@db/x", f"postgresql://winch:{HIDDEN}@db/x"),
        ("--token=abc --verbose", f"--token={HIDDEN} --verbose"),
        ("DB_PASSWORD=abc", f"DB_PASSWORD={HIDDEN}"),
        ("PassPhrase: abc", f"PassPhrase: {HIDDEN}"),
        ("my-access-key = abc", f"my-access-key = {HIDDEN}"),
        ("apikey=abc&x=1", f"apikey={HIDDEN}&x=1"),
        ("x_api_key_old: abc, b", f"x_api_key_old: {HIDDEN}, b"),
        ("Authorization: Bearer abc.def", f"Authorization: Bearer {HIDDEN}"),
        ('{"secret": "a b c"}', f'{{"secret": "{HIDDEN}"}}'),
        ("passwd='a b'", f"passwd='{HIDDEN}'"),
        ("secret_token=abc", f"secret_token={HIDDEN}"),
        ("über: ß PASSWORD=abc", f"über: ß PASSWORD={HIDDEN}"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----", HIDDEN),
        ("-----BEGIN PRIVATE KEY-----\nMII (cut off)", HIDDEN),
    ],
)
def test_a_secret_is_hidden(text: str, masked: str) -> None:
    assert mask(f"before {text}").removeprefix("before ") == masked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "web,web1,0,0,0,1,,12,3456,UP,100",
        "http://10.0.0.1:8080/path",
        "the password is wrong",
        "keyboard: us",
        "ssh-ed25519 AAAAC3Nza PUBLIC KEY-----",
    ],
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert mask(text) == text
