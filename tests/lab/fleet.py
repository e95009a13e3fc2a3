"""Write fleet files for the lab's hosts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.lab import haproxy, nginx
from tests.lab.host import LabHost
from tests.lab.topology import Lab


def fleet(
    lab: Lab,
    sections: Mapping[str, Any] | None = None,
    *,
    user: str = "deploy",
    become: str | None = "sudo",
    path: Path | None = None,
) -> Path:
    """Write a fleet file with all hosts of the lab, its key and its known host keys.

    `sections` are the other top-level keys (`balancers`, `pools`, `pairs`, `nginx`, `vars`); they
    win over what is written by itself.
    """
    ssh = {
        "user": user,
        "identity_file": str(lab.identity_file),
        "known_hosts": str(lab.known_hosts),
    }
    data: dict[str, Any] = {
        "ssh": ssh | ({"become": become} if become is not None else {}),
        "hosts": {host.name: {"address": host.address} for host in lab.by_name.values()},
        **(sections or {}),
    }
    path = path or lab.directory / "fleet.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return path


def balancers_section(balancers: Sequence[LabHost]) -> dict[str, Any]:
    """The `balancers` of a fleet file."""
    return {
        balancer.name: {
            "sockets": [haproxy.ADMIN_SOCKET],
            "master_socket": haproxy.MASTER_SOCKET,
            "config": [haproxy.CONFIG],
        }
        for balancer in balancers
    }


def pool_section(
    balancers: Sequence[LabHost],
    servers: Sequence[LabHost],
    *,
    backends: Sequence[str] = ("web_servers",),
    redeploy: Mapping[str, Any] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """One pool: deployed by `deploy-app`, verified by its version; `settings` are added or win.

    Its probes and its UP time are short, for tests; `drain`, `enable`, `verify` and `policy`
    can be given whole.
    """
    page = {"url": "http://{address}/", "status": 200, "contains": "v{version} "}
    return {
        "balancers": [balancer.name for balancer in balancers],
        "backends": list(backends),
        "servers": {server.name: {} for server in servers},
        "drain": {"timeout": "60s"},
        "redeploy": dict(redeploy or nginx.command_redeploy()),
        "verify": [{"http": page | {"attempts": 5, "interval": "200ms"}}],
        "enable": {"stable": "500ms"},
        "policy": {"max_unavailable": 1, "min_available": 1},
        **settings,
    }
