"""A run as a card, and the card as each network draws it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatops.chat.card import Card, estimate, fitting, milestones, note, read_value, run_card
from chatops.chat.matrix_html import as_edit, content_of, in_thread
from chatops.chat.mattermost_blocks import post_of
from chatops.chat.slack_blocks import blocks_of
from tests.unit.chatops.documents import NOW, a_host, a_run, a_step

NASTY = '<!channel> <script>alert("x")</script> @channel [a](http://evil) *b* &amp;'


def running() -> dict[str, Any]:
    drained = a_step("haproxy.drain", "succeeded")
    drain = a_step("haproxy.drain", "running", "3 of 8 sessions left")
    return a_run(
        "running",
        a_host("web1", "succeeded"),
        a_host("web2", "running", drain),
        a_host("web3", "running", drained, a_step("deploy.redeploy", "running", NASTY)),
        a_host("web4", "pending"),
        reason=NASTY,
    )


def names(document: dict[str, Any]) -> list[str]:
    return [button.label for button in fitting(document)]


def test_a_card_says_how_far_a_run_is_and_what_it_is_at() -> None:
    card = run_card(running(), now=NOW)
    assert card.title == "🔄 run 12 · roll web · running"
    assert card.bar == "▓▓▓▓▓▓░░░░░░░░░░░░░░ 1 of 4 hosts · 5 of 16 steps"
    assert card.lines[0] == "● web2 `haproxy.drain` 3 of 8 sessions left"
    assert ("left", "about 2:00") in card.fields


def test_an_estimate_is_given_only_where_one_can_be_made() -> None:
    document = running()
    assert estimate(document, NOW) == "about 2:00"
    assert estimate(document | {"progress": {"done": 0, "total": 16}}, NOW) == ""
    assert estimate(document | {"status": "paused"}, NOW) == ""
    assert estimate(document | {"started_at": None}, NOW) == ""


@pytest.mark.parametrize(
    ("document", "buttons"),
    [
        (a_run("running", a_host("web1", "running")), ["Pause", "Abort"]),
        (a_run("paused", a_host("web1", "running")), ["Resume", "Abort"]),
        (a_run("succeeded", a_host("web1", "succeeded")), []),
        (
            a_run("failed", a_host("web1", "failed"), a_host("web2", "cancelled")),
            ["Retry", "Skip web1", "Abort"],
        ),
        (a_run("rolled_back", a_host("web1", "rolled_back")), ["Retry"]),
        (
            a_run("waiting", a_host("web1", "waiting", waiting_for="approval")),
            ["Approve", "Pause", "Abort"],
        ),
        (
            a_run("waiting", a_host("web1", "pending"), approval={"needed": True}),
            ["Approve", "Pause", "Abort"],
        ),
    ],
)
def test_the_buttons_are_those_that_make_sense(
    document: dict[str, Any], buttons: list[str]
) -> None:
    assert names(document) == buttons
    assert all(button.question for button in fitting(document))


def test_buttons_vanish_for_whoever_may_not() -> None:
    card = run_card(running(), now=NOW, may=lambda action: action == "pause")
    assert [button.action for button in card.buttons] == ["pause"]


def test_a_buttons_value_comes_back() -> None:
    failed = a_run("failed", a_host("web1", "failed"))
    values = {button.action: button.value for button in fitting(failed)}
    assert read_value(values["skip"]) == (12, ("web1",))
    assert read_value(values["abort"]) == (12, ())
    for bad in ("", "x", "x 12"):
        with pytest.raises(ValueError, match="invalid literal"):
            read_value(bad)


def test_slack_gets_its_own_limits_and_no_mentions() -> None:
    many = a_run("failed", *(a_host(f"web{n}", "failed", detail=NASTY * 50) for n in range(500)))
    for document in (many, running()):
        blocks = blocks_of(run_card(document, now=NOW))
        text = json.dumps(blocks)
        assert "<!channel>" not in text
        assert len(blocks) <= 50
        for block in blocks:
            assert len(block.get("text", {}).get("text", "")) <= 3000
            assert len(block.get("fields", [])) <= 10
            for one in block.get("elements", []):
                assert len(one["text"]["text"]) <= 75
                assert len(one["confirm"]["text"]["text"]) <= 300
                assert len(one["confirm"]["confirm"]["text"]) <= 30


def test_mattermost_gets_no_mentions_and_no_links() -> None:
    post = post_of(run_card(running(), now=NOW), "https://x", lambda button: button.value)
    text = json.dumps(post, ensure_ascii=False)
    assert "@channel" not in text
    assert "[a](" not in text
    assert [action["id"] for action in post["props"]["attachments"][0]["actions"]] == [
        "winchpause",
        "winchabort",
    ]


def test_mattermost_without_an_address_of_ours_gets_no_buttons() -> None:
    post = post_of(run_card(running(), now=NOW), None, lambda button: button.value)
    assert "actions" not in post["props"]["attachments"][0]


def test_matrix_gets_no_markup_of_others_and_commands_for_buttons() -> None:
    content = content_of(run_card(running(), now=NOW), lead="!winch")
    assert "<script>" not in content["formatted_body"]
    assert "<code>!winch pause 12</code>" in content["formatted_body"]
    assert "!winch abort 12" in content["body"]
    assert content["msgtype"] == "m.notice"
    assert content["m.mentions"] == {}
    edit = as_edit(content, "$1")
    assert edit["m.new_content"] == content
    assert edit["m.relates_to"] == {"rel_type": "m.replace", "event_id": "$1"}
    assert in_thread(content, "$1")["m.relates_to"]["rel_type"] == "m.thread"


def test_a_note_is_only_text() -> None:
    assert note("a", "b") == Card(lines=("a", "b"))
    assert blocks_of(note("a", "b")) == [
        {"type": "section", "text": {"type": "mrkdwn", "text": "a\nb", "verbatim": True}}
    ]


def test_a_thread_is_told_of_ends_with_their_steps_and_of_tries_again() -> None:
    broken = a_step("deploy.redeploy", "failed", "exit 1")
    failed = a_run("failed", a_host("web1", "failed", broken, detail="no such image"))
    keys = dict(milestones(failed))
    line = next(text for key, text in keys.items() if key.startswith("web1"))
    assert line.startswith("✗ web1 failed · ")
    assert "✗ redeploy 30.0 s" in line
    assert line.endswith(": no such image")
    again = a_host("web1", "failed", {**broken, "attempts": 2}, detail="no such image")
    assert dict(milestones(a_run("failed", again))).keys() != keys.keys()
    assert milestones(a_run("running", a_host("web1", "running"))) == []
