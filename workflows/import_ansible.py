"""Write a fleet file from an Ansible inventory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from worker.errors import UsageError
from workflows.flowtext import Names, flow, scalar
from workflows.inventory import Inventory, read_inventory
from workflows.references import reference_problems
from workflows.values import check_address, shown

_TRUE = frozenset({"1", "yes", "true", "on", "y", "t"})
_BALANCER_GROUP = re.compile(r"haproxy|balancer|(^|[_-])lbs?([_-]|$)", re.IGNORECASE)
_JUMP = re.compile(r"(?:ProxyJump=|-J\s*)([A-Za-z0-9_.-]+)(?=[\s'\"]|$)")
_PORT = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}", re.ASCII)
_OWN_GROUPS = frozenset({"all", "ungrouped"})
_LAST_PORT = 65535


def import_ansible(path: Path | str) -> str:
    """Write a fleet file from an Ansible inventory (INI or YAML).

    Hosts become hosts, groups become commented skeletons of pools. What cannot be taken over
    (templates, variables of other files) is named in comments.

    Raises:
        UsageError: the inventory cannot be read.
    """
    path = Path(path)
    inventory = read_inventory(path)
    names = Names()
    notes: list[str] = []
    hosts: dict[str, dict[str, Any]] = {}
    for host, found in inventory.variables().items():
        entry = _ansible_host(host, found, notes)
        if entry is not None:
            hosts[names.of(host)] = entry
    if not hosts:
        raise UsageError(f"{path}: no host in it has an address that could be used")
    for problem in list(reference_problems({"hosts": hosts})):
        host = str(problem.path[1])
        del hosts[host]["ssh"]["jump"]
        notes.append(f"{shown(host)}: its jump was left out: {problem.message}")
    common = _common_ssh(hosts)
    lines = [
        f"# Written from {shown(path.name)}. Read it before you use it: 'winch fleet check'.",
        "# Not read: host_vars/, group_vars/ and values with {{ }} in them.",
        *(f"# Note: {note}" for note in notes),
        *([f"ssh: {flow(common)}", ""] if common else []),
        "hosts:",
        *(f"  {scalar(name)}: {flow(entry)}" for name, entry in hosts.items()),
        "",
        *_pool_skeletons(inventory, names, hosts),
    ]
    return "\n".join(lines) + "\n"


def _ansible_host(name: str, found: Mapping[str, str], notes: list[str]) -> dict[str, Any] | None:
    def value(*keys: str) -> str | None:
        for key in keys:
            text = found.get(key)
            if text is not None and "{{" in text:
                notes.append(f"{shown(name)}: {key} is a template and was left out")
            elif text:
                return text
        return None

    address = value("ansible_host", "ansible_ssh_host") or name
    try:
        check_address(address)
    except ValueError as error:
        notes.append(f"{shown(name)} left out: {error}")
        return None
    entry: dict[str, Any] = {"address": address}
    connection = value("ansible_connection")
    if connection == "local":
        return {**entry, "connection": "local"}
    ssh: dict[str, Any] = {}
    user = value("ansible_user", "ansible_ssh_user")
    port = value("ansible_port", "ansible_ssh_port")
    key = value("ansible_ssh_private_key_file", "ansible_private_key_file")
    if user is not None and _USER.fullmatch(user):
        ssh["user"] = user
    if port is not None and _PORT.fullmatch(port) and int(port) <= _LAST_PORT:
        ssh["port"] = int(port)
    if key is not None and key.isprintable():
        ssh["identity_file"] = key
    method = value("ansible_become_method") or "sudo"
    if (value("ansible_become") or "").lower() in _TRUE and method in ("sudo", "doas"):
        ssh["become"] = method
    jump = _JUMP.search(value("ansible_ssh_common_args") or "")
    if jump is not None and jump[1] != name:
        ssh["jump"] = jump[1]
    return {**entry, "ssh": ssh} if ssh else entry


def _common_ssh(hosts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Take out of the hosts what all of them that are reached over SSH agree on."""
    remote = [entry for entry in hosts.values() if "connection" not in entry]
    if not remote:
        return {}
    first = remote[0].get("ssh", {})
    common = {
        key: value
        for key, value in first.items()
        if key != "jump" and all(entry.get("ssh", {}).get(key) == value for entry in remote)
    }
    for entry in remote:
        own = {key: value for key, value in entry.get("ssh", {}).items() if key not in common}
        entry.pop("ssh", None)
        if own:
            entry["ssh"] = own
    return common


def _pool_skeletons(inventory: Inventory, names: Names, hosts: Mapping[str, Any]) -> Iterable[str]:
    groups = {
        name: [names.of(host) for host in inventory.members(name) if names.of(host) in hosts]
        for name in inventory.groups
        if name not in _OWN_GROUPS
    }
    before = [n for name in groups if _BALANCER_GROUP.search(name) for n in groups[name]]
    balancers = list(dict.fromkeys(before)) or ["BALANCER"]
    pools = {name: own for name, own in groups.items() if own and not set(own) & set(before)}
    if not pools:
        return
    yield "# Take the # away from what you need, and mend it: it is made from the groups alone."
    yield f"# balancers: {flow({name: {} for name in balancers})}"
    yield "# pools:"
    made = Names()
    for name, own in pools.items():
        pool = made.of(name)
        yield f"#   {scalar(pool)}:"
        yield f"#     balancers: {flow(balancers)}"
        yield f"#     backends: {flow([pool])}"
        yield f"#     servers: {flow({host: {} for host in own})}"
        yield '#     redeploy: {package: {name: nginx, version: "{version}"}}'
        yield '#     verify: [{http: {url: "http://{address}/"}}]'
