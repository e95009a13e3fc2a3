"""A card as a Mattermost post with an attachment. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from chatops.chat.card import Button, Card

_MARKUP = re.compile(r"([\\*_~\[\]()#>|!<])")
_MOST = 12_000  # characters of a post


def post_of(card: Card, callback: str | None, seal: Callable[[Button], str]) -> dict[str, Any]:
    """Draw a card; without a `callback` URL there are no buttons, as nothing could come of them."""
    if not card.title and not card.buttons:
        text = "\n".join(escape(line) for line in card.lines)
        return {"message": text[:_MOST], "props": {"attachments": []}}
    attachment: dict[str, Any] = {
        "fallback": escape(card.text[:1000]),
        "title": escape(card.title),
        "text": "\n".join([_bar(card.bar), *(escape(line) for line in card.lines)]).strip()[:_MOST],
        "fields": [
            {"short": True, "title": escape(name), "value": escape(value)}
            for name, value in card.fields
        ],
    }
    if callback is not None and card.buttons:
        attachment["actions"] = [
            {
                # Ids of letters and digits only, or the server does not find them again.
                "id": f"winch{button.action}",
                "type": "button",
                "name": button.label,
                "style": "danger" if button.danger else "default",
                "integration": {"url": callback, "context": {"seal": seal(button)}},
            }
            for button in card.buttons
        ]
    return {"message": "", "props": {"attachments": [attachment]}}


def escape(text: str) -> str:
    """Make text harmless: no link, no mention (`@channel`); code in backticks stays code."""
    parts = text.split("`")
    for number in range(0, len(parts), 2):
        parts[number] = _MARKUP.sub(r"\\\1", parts[number])
    return "`".join(parts).replace("@", "@\u200b")


def _bar(text: str) -> str:
    drawn, _, rest = text.partition(" ")
    return f"`{drawn}` {escape(rest)}" if drawn else ""
