"""What `winch fleet check` found."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from chatops.render.lists import make_table
from chatops.render.words import Document, clean, count, one_line


def survey(document: Document) -> RenderableType:
    """The hosts with their versions, the balancers with their servers, and what is wrong."""
    parts: list[RenderableType] = [_hosts(document["hosts"])]
    if any(process["backends"] for process in document["balancers"]):
        parts += [Text(""), _servers(document["balancers"])]
    if document["problems"]:
        parts.append(Text(""))
    for problem in document["problems"]:
        line = Text("✗ ", style="bold red")
        line.append(clean(problem), style="not bold default")
        parts.append(line)
    reached = sum(host["reachable"] for host in document["hosts"])
    text = f"{reached} of {count(len(document['hosts']), 'host')} answer"
    wrong = len(document["problems"])
    parts += [Text(""), Text(f"{text}; {count(wrong, 'problem') if wrong else 'all is well'}")]
    return Group(*parts)


def _hosts(hosts: list[Document]) -> RenderableType:
    rows = make_table(
        "host", "address", "answers", "as", "system", "haproxy", "nginx", "keepalived"
    )
    for host in hosts:
        versions = host["versions"]
        good = host["reachable"]
        rows.add_row(
            Text(host["name"], style="bold"),
            Text(host["address"]),
            Text("✓ yes" if good else "✗ no", style="green" if good else "bold red"),
            Text(one_line(host["user"])),
            Text(one_line(host["os"])),
            *(Text(one_line(versions.get(p, ""))) for p in ("haproxy", "nginx", "keepalived")),
        )
    return rows


def _servers(processes: list[Document]) -> RenderableType:
    rows = make_table(
        "balancer", "backend", "server", "status", "weight", "sessions", "check",
        right=("weight", "sessions"),
    )  # fmt: skip
    for process in processes:
        for backend in process["backends"]:
            for server in backend["servers"]:
                good = server["status"] in ("UP", "no check")
                rows.add_row(
                    Text(process["name"], style="bold"),
                    Text(one_line(backend["name"])),
                    Text(one_line(server["name"])),
                    Text(one_line(server["status"]), style="green" if good else "yellow"),
                    str(server["weight"]),
                    str(server["sessions"]),
                    Text(one_line(server["check"])),
                )
    return rows
