"""`nginx.upload_binary`: a file of the worker's machine, on every host, once."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tasks.nginx_binary.fan_out import fan_out
from tasks.nginx_binary.params import Upload
from tasks.nginx_binary.place import install, standing
from worker.errors import Refused
from worker.step import Context, Done, Outcome, step


def preview_upload(context: Context, params: Upload) -> list[str]:
    """Say which hosts lack it."""
    lacking = fan_out(params.hosts, lambda name: _lacks(context, params, name))
    return [
        f"{name}: upload {params.file} to {params.target}"
        for name, lacks in zip(params.hosts, lacking, strict=True)
        if lacks
    ]


def _lacks(context: Context, params: Upload, name: str) -> bool:
    return standing(context.on(name), params.target) != params.sha256


@step("nginx.upload_binary", preview=preview_upload)
def upload_binary(context: Context, params: Upload) -> Outcome:
    """Send the file to every host that lacks it, and read its checksum there.

    Raises:
        Refused: the worker's machine has no such file, or another one under its name.
    """
    source = Path(params.file)
    if any(fan_out(params.hosts, lambda name: _lacks(context, params, name))):
        check_file(source, params.sha256, "--binary")
    sent = fan_out(
        params.hosts,
        lambda name: install(context.on(name), source, params.target, params.sha256),
    )
    there = len(sent) - sum(sent)
    context.progress(f"uploaded to {sum(sent)} hosts")
    return Done(
        f"{source.name} ({params.sha256[:12]}) sent to {sum(sent)} of {len(sent)} hosts"
        f"{f', {there} had it' if there else ''}",
        changed=False,  # a file beside what runs: nothing to put back
    )


def check_file(path: Path, sha256: str, option: str) -> None:
    """See that a file is here and still the one for which the job was planned.

    Raises:
        Refused: it is not.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Refused(
            f"{option} {path}: cannot be read on the worker's machine: {error.strerror}; put it "
            "there, at the same path as where the job was asked for, and retry; nothing was changed"
        ) from error
    if found != sha256:
        raise Refused(
            f"{option} {path}: expected SHA-256 {sha256[:12]}…, as when the job was planned, it is "
            f"{found[:12]}… on the worker's machine; start the job again; nothing was changed"
        )
