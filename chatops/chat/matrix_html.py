"""A card as a Matrix message: plain text, and HTML for those who show it. Pure."""

from __future__ import annotations

import html
import re
from typing import Any

from chatops.chat.card import Card

_CODE = re.compile(r"`([^`]+)`")


def content_of(card: Card, *, lead: str) -> dict[str, Any]:
    """Draw a card. Matrix has no buttons: what they would do is written as commands.

    A notice: no program answers it, and it notifies nobody (`m.mentions` is empty).
    """
    commands = [f"{lead} {button.action} {button.value}" for button in card.buttons]
    plain = [card.title, card.bar, *card.lines, *(f"{k}: {v}" for k, v in card.fields), *commands]
    shown = [f"<b>{_html(card.title)}</b>"] if card.title else []
    shown += (
        [f"<code>{_html(card.bar.partition(' ')[0])}</code> {_html(card.bar.partition(' ')[2])}"]
        if card.bar
        else []
    )
    shown += [_CODE.sub(r"<code>\1</code>", _html(line)) for line in card.lines]
    if card.fields:
        shown.append(" · ".join(f"<i>{_html(k)}</i> {_html(v)}" for k, v in card.fields))
    if commands:
        shown.append(" ".join(f"<code>{_html(command)}</code>" for command in commands))
    return {
        "msgtype": "m.notice",
        "body": "\n".join(filter(None, plain)),
        "format": "org.matrix.custom.html",
        "formatted_body": "<br>".join(shown),
        "m.mentions": {},
    }


def in_thread(content: dict[str, Any], root: str) -> dict[str, Any]:
    """Put a message into the thread of another one."""
    relation = {
        "rel_type": "m.thread",
        "event_id": root,
        "is_falling_back": True,
        "m.in_reply_to": {"event_id": root},
    }
    return {**content, "m.relates_to": relation}


def as_answer(content: dict[str, Any], event: str) -> dict[str, Any]:
    """Make a message an answer to another one."""
    return {**content, "m.relates_to": {"m.in_reply_to": {"event_id": event}}}


def as_edit(content: dict[str, Any], event: str) -> dict[str, Any]:
    """Put content in the place of a message; who cannot show edits sees it with a star before."""
    return {
        **content,
        "body": f"* {content['body']}",
        "formatted_body": f"* {content['formatted_body']}",
        "m.new_content": content,
        "m.relates_to": {"rel_type": "m.replace", "event_id": event},
    }


def _html(text: str) -> str:
    return html.escape(text, quote=False)
