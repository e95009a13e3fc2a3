"""What the demo says at its end."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from chatops.demo.load import Count

MOST_ERRORS = 5


def show_report(
    console: Console, count: Count, seconds: float, times: Mapping[str, float], flower: str
) -> None:
    """Print requests served, failed and non-2xx, the time a host, and where Flower is."""
    served = count.requests - count.failed
    rate = served / seconds if seconds > 0 else 0.0
    table = Table(title="What the clients saw", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row("requests served", f"{served:,} in {seconds:.1f} s ({rate:.0f} a second)")
    table.add_row("failed", _verdict(count.failed))
    table.add_row("non-2xx", _verdict(count.non_2xx))
    answers = " · ".join(f"{text}: {number:,}" for text, number in sorted(count.answers.items()))
    table.add_row("answers", answers or "none")
    table.add_row("slow downloads", f"{count.downloads} complete, through the whole of it")
    table.add_row("slowest answer", f"{count.slowest * 1000:.0f} ms")
    per_host = " · ".join(f"{name} {time:.1f} s" for name, time in times.items())
    table.add_row("time a host", per_host or "unknown")
    table.add_row("Flower", flower)
    console.print()
    console.print(table)
    for text, number in count.errors.most_common(MOST_ERRORS):
        console.print(f"  {number} times: {text}", style="red", markup=False)


def _verdict(number: int) -> str:
    return "[green]0[/green]" if number == 0 else f"[red]{number:,}[/red]"
