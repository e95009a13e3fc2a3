"""Runs as documents, as `worker.report` writes them: data for the renderings."""

from __future__ import annotations

from typing import Any

STEPS = ("haproxy.drain", "deploy.redeploy", "probe.verify", "haproxy.enable")
NOW = 1_795_255_260.0  # 2026-11-21T10:01:00Z
START = "2026-11-21T10:00:00Z"
END = "2026-11-21T10:00:30Z"


def a_step(name: str, status: str, detail: str | None = None, **more: Any) -> dict[str, Any]:
    begun = status not in ("pending", "cancelled")
    ended = begun and status not in ("running", "waiting")
    return {
        "name": name,
        "status": status,
        "changed": ended,
        "attempts": 1 if begun else 0,
        "started_at": START if begun else None,
        "ended_at": END if ended else None,
        "seconds": 30.0 if ended else None,
        "detail": detail,
        **more,
    }


def a_host(name: str, status: str, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    own = {step["name"]: step for step in steps}
    rest = {"succeeded": "succeeded", "failed": "cancelled", "cancelled": "cancelled"}
    default = rest.get(status, "pending")
    return {
        "name": name,
        "status": status,
        "outcome": None,
        "waiting_for": None,
        "detail": None,
        "steps": [own.pop(n, a_step(n, default)) for n in STEPS] + list(own.values()),
        **more,
    }


def a_run(status: str, *hosts: dict[str, Any], **more: Any) -> dict[str, Any]:
    ended = status in ("succeeded", "failed", "rolled_back", "aborted")
    codes = {"succeeded": 0, "failed": 2, "rolled_back": 8, "aborted": 99}
    steps = [step for host in hosts for step in host["steps"]]
    return {
        "id": 12,
        "job": "roll",
        "target": "web",
        "status": status,
        "requested_by": "cli:ops",
        "reason": "CVE-2026-1",
        "created_at": START,
        "started_at": START,
        "ended_at": END if ended else None,
        "vars": {"version": "1.26"},
        "detail": None,
        "exit_code": codes.get(status),
        "progress": {
            "done": sum(step["status"] == "succeeded" for step in steps),
            "total": len(steps),
        },
        "hosts": list(hosts),
        **more,
    }
