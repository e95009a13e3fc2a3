from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.templates import TemplateError, expand, expand_tree, variables, variables_in

VALUES = {"version": "1.26", "address": "10.0.0.1", "name": "web1"}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("nginx:{version}", "nginx:1.26"),
        ("{name}{name}", "web1web1"),
        ("{{version}}", "{version}"),
        ("{{{version}}}", "{{version}}"),
        ("${version} ${HOME}", "${version} ${HOME}"),
        ("awk '{print $1}'", "awk '{print $1}'"),
        ("--format '{{.Names}}'", "--format '{{.Names}}'"),
        ('{"a": 1}', '{"a": 1}'),
        ("{}", "{}"),
        ("{0} {version.x} {version!r} {version:>9}", "{0} {version.x} {version!r} {version:>9}"),
        ("{version", "{version"),
    ],
)
def test_only_a_word_in_braces_is_a_variable(text: str, expanded: str) -> None:
    assert expand(text, VALUES) == expanded


def test_a_value_is_never_expanded_again() -> None:
    assert expand("{a}", {"a": "{b}", "b": "no"}) == "{b}"


def test_an_unknown_variable_is_named_with_the_way_to_set_it() -> None:
    with pytest.raises(TemplateError) as error:
        expand("nginx:{versoin}", VALUES)
    assert error.value.problem.message == (
        "{versoin} has no value: give one by --set versoin=…, or under vars; "
        "did you mean 'version'?"
    )


def test_an_ipv6_address_gets_brackets_in_a_url_only() -> None:
    values = {"address": "fd00::1"}
    tree = {"http": {"url": "http://{address}/"}, "tcp": {"address": "{address}"}}
    assert expand_tree(tree, values) == {
        "http": {"url": "http://[fd00::1]/"},
        "tcp": {"address": "fd00::1"},
    }


def test_an_error_knows_where_in_the_tree_its_text_stands() -> None:
    with pytest.raises(TemplateError) as error:
        expand_tree({"a": ["x", {"b": "{nope}"}]}, VALUES, ("pools", "web"))
    assert error.value.problem.path == ("pools", "web", "a", 1, "b")


def test_variables_are_found_anywhere_but_in_literals() -> None:
    assert variables("{a} {{b}} ${c} {d}") == {"a", "d"}
    assert variables_in({"x": ["{a}", {"y": "{b}"}], "z": 3, "n": None}) == {"a", "b"}


@pytest.mark.parametrize("key", ["run", "undo", "facts"])
@pytest.mark.parametrize(
    "value", ["1;id", "$(id)", "`id`", "a b", "a'b", 'a"b', "a|b", "a>b", "*", "-rf", "~root", "é"]
)
def test_a_value_that_means_something_to_a_shell_does_not_reach_one(key: str, value: str) -> None:
    with pytest.raises(TemplateError, match="goes to a shell"):
        expand_tree({key: "deploy {version}"}, {"version": value})


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\x00b", "a\x1b[2J", "a\u2028b", "a\x85b"])
def test_control_characters_are_refused_everywhere(value: str) -> None:
    with pytest.raises(TemplateError, match="control character"):
        expand("nginx:{version}", {"version": value})


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="aZ0._:/@+,=%~-;$'\"`*\\ \n(){}|&<>!#?[]é", max_size=6))
def test_what_reaches_a_shell_is_one_word_that_stays_as_it_was(value: str) -> None:
    try:
        script = expand("printf '<%s>' {version}", {"version": value}, shell=True)  # noqa: S604
    except TemplateError:
        return
    printed = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert printed.stdout == f"<{value}>"


@given(st.text(), st.text())
def test_expanding_never_does_more_than_put_the_value_in(text: str, value: str) -> None:
    try:
        expanded = expand(f"{text}|{{version}}", {"version": value})
    except TemplateError as error:
        message = error.problem.message
    else:
        message = ""
        assert expanded.endswith(f"|{value}")
    assert "\n" not in message
