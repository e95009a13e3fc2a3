"""Plans: what a job is about to do."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from chatops.render.words import Document, clean, count, listed, local_time, utc_time
from worker.plan import Plan


def plan_summary(plan: Plan, *, reason: str | None, at: float | None = None) -> str:
    """Say in a few lines what would be started. `at`: not before (epoch seconds)."""
    lanes = [lane for lane in plan.lanes if not lane.gate]
    policy = plan.policy
    at_once = min(policy.max_unavailable, len(lanes))
    lines = [
        f"{plan.job} {plan.target}: {count(len(lanes), 'host')}, {at_once} at once",
        f"  hosts      {listed([lane.host for lane in lanes], 20)}",
        f"  each       {' → '.join(step.name for step in lanes[0].steps)}",
    ]
    if policy.stages:
        lines.append(f"  stages     {' → '.join(str(size) for size in policy.stages)}")
    if plan.vars:
        lines.append(f"  variables  {', '.join(f'{k}={v}' for k, v in plan.vars.items())}")
    end = "it is put back" if policy.on_failure == "rollback" else "it stays as it is, out"
    more = "no other host starts"
    if policy.max_failures:
        more = f"no other host starts after more than {policy.max_failures}"
    lines.append(f"  a failure  {end}, and {more}")
    if reason:
        lines.append(f"  reason     {reason}")
    if at is not None:
        lines.append(f"  starts     {local_time(utc_time(at))}; the plan stays as it is now")
    return clean("\n".join(lines))


def plan_preview(document: Document) -> RenderableType:
    """Host by host, the steps, and the commands that they would run now."""
    text = Text()
    text.append(f"plan · {document['job']} {document['target']}\n", style="bold")
    for problem in document["problems"]:
        text.append(f"✗ {clean(problem)}\n", style="bold red")
    before = [{"name": "before", "steps": document["before"]}] if document["before"] else []
    for host in [*before, *document["hosts"]]:
        text.append(f"\n{host['name']}\n", style="bold")
        for number, step in enumerate(host["steps"]):
            text.append(f"  {step['name']}")
            text.append(f"  {clean(step['summary'])}\n", style="dim")
            for command in step["commands"]:
                shown = clean(command).replace("\n", "\n    ")
                text.append(f"    {shown}\n", style="cyan")
            if step["note"]:
                text.append(f"    ({clean(step['note'])})\n", style="yellow")
            elif not step["commands"]:
                why = "nothing to do" if number == 0 else "nothing now, before the steps above"
                text.append(f"    ({why})\n", style="dim")
    text.append("\nnothing was touched", style="dim")
    return Group(text)
