"""What a missing program or privilege does to a test."""

from __future__ import annotations

import os

import pytest

from tests.needs import needs_program, needs_root


def test_a_program_that_is_there_is_found_also_outside_of_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert needs_program("ldconfig").endswith("/ldconfig")


def test_a_missing_program_skips_on_a_laptop_and_names_its_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr("tests.needs.find_program", lambda _: None)
    with pytest.raises(pytest.skip.Exception, match="needs ab: apt-get install apache2-utils"):
        needs_program("ab")


def test_a_missing_program_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"no-such-program.*CI=true"):
        needs_program("sh", "no-such-program")


def test_a_missing_privilege_says_why_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(pytest.skip.Exception, match=r"needs root \(it binds port 80\)"):
        needs_root(reason="it binds port 80")
