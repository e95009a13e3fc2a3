"""A card as Slack's Block Kit. Pure."""

from __future__ import annotations

from typing import Any

from chatops.chat.card import Button, Card

# Slack's limits: https://docs.slack.dev/reference/block-kit/blocks
_HEADER, _SECTION, _FIELD, _LABEL, _FIELDS, _ACTIONS = 150, 3000, 2000, 75, 10, 25
_QUESTION = 300


def blocks_of(card: Card) -> list[dict[str, Any]]:
    """Draw a card."""
    blocks: list[dict[str, Any]] = []
    if card.title:
        text = {"type": "plain_text", "text": _cut(card.title, _HEADER), "emoji": True}
        blocks.append({"type": "header", "text": text})
    body = [f"`{card.bar.partition(' ')[0]}` {card.bar.partition(' ')[2]}"] if card.bar else []
    body += [escape(line) for line in card.lines]
    blocks += [_section(part) for part in _parts(body)]
    if card.fields:
        fields = [
            _mrkdwn(f"*{escape(name)}*\n{_cut(escape(value), _FIELD - 100)}")
            for name, value in card.fields[:_FIELDS]
        ]
        blocks.append({"type": "section", "fields": fields})
    if card.buttons:
        elements = [_button(button) for button in card.buttons[:_ACTIONS]]
        blocks.append({"type": "actions", "elements": elements})
    return blocks


def escape(text: str) -> str:
    """Make text harmless: no link, no mention (`<!channel>`, `<@U…>`) comes of it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _parts(lines: list[str]) -> list[str]:
    """Join lines to texts that are short enough for a section."""
    parts: list[str] = []
    for line in lines:
        short = _cut(line, _SECTION)
        if parts and len(parts[-1]) + len(short) < _SECTION:
            parts[-1] += f"\n{short}"
        else:
            parts.append(short)
    return parts[:40]


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _mrkdwn(text)}


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _button(button: Button) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": "button",
        "action_id": f"winch_{button.action}",
        "text": {"type": "plain_text", "text": _cut(button.label, _LABEL), "emoji": True},
        "value": button.value,
        "confirm": {
            "title": {"type": "plain_text", "text": _cut(button.label, 100)},
            "text": {"type": "plain_text", "text": _cut(button.question, _QUESTION)},
            "confirm": {"type": "plain_text", "text": _cut(button.label, 30)},
            "deny": {"type": "plain_text", "text": "No"},
        },
    }
    if button.danger:
        found["style"] = "danger"
        found["confirm"]["style"] = "danger"
    elif button.action == "approve":
        found["style"] = "primary"
    return found


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
