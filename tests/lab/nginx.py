"""An nginx that serves a versioned application, and ways to deploy another version of it.

`/` prints `v1.25 web1` (version, host), `/big` is a large file at a limited rate, `/health` says
ok, and every answer carries the host in X-Server. The application is a release directory:

    /srv/app/releases/1.25/index.html
    /srv/app/current -> releases/1.25

A version whose name starts with `broken`, or that was sabotaged on a host, answers 500 at `/` but
is healthy at `/health`: only a probe of the application itself notices. Deploying restarts nginx:
it refuses new connections for up to 5 s while a download holds the stop, and then cuts it. Only a
drain before spares clients.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

from tests.lab.host import LabHost

APP = "/srv/app"
_FILES = Path(__file__).parent / "files"


def install_nginx(
    host: LabHost, version: str = "1.25", *, big_mb: int = 8, limit_rate: str = "1m"
) -> None:
    """Serve the application on port 80 in this version.

    `/big` has `big_mb` megabytes and is sent at `limit_rate` a second to each connection: by
    default a download takes 8 s, longer than the 5 s that Debian's unit gives to a stop.
    """
    config = (_FILES / "app.conf").read_text().replace("@LIMIT_RATE@", limit_rate)
    host.write_file("/etc/nginx/conf.d/app.conf", config)
    host.write_file("/usr/local/bin/deploy-app", (_FILES / "deploy-app").read_text(), mode=0o755)
    host.sh(
        f"mkdir -p /srv/files {APP}/releases {APP}/sabotaged; truncate -s {big_mb}M /srv/files/big;"
        " systemctl enable --quiet nginx"
    )
    deploy(host, version)


def deploy(host: LabHost, version: str) -> None:
    """Deploy a version past Winch, as a careless operator would."""
    host.run("deploy-app", version)


def version_of(host: LabHost) -> str:
    """The version that is current on the host."""
    return host.run("deploy-app", "--show").stdout.strip()


def sabotage(host: LabHost, version: str) -> None:
    """Make one version answer 500 on this host, however it gets there, until `mend`."""
    host.write_file(f"{APP}/sabotaged/{version}", "")


def mend(host: LabHost) -> None:
    """End every sabotage of the host."""
    host.sh(f"rm -f {APP}/sabotaged/*")


def command_redeploy() -> dict[str, Any]:
    """A fleet file's `redeploy` of the kind `command`, with its way back; uses `{version}`."""
    return {
        "command": {
            "run": "deploy-app {version}",
            "undo": 'deploy-app "$WINCH_BEFORE"',
            "facts": "deploy-app --show",
        }
    }


def release_redeploy(archives: Path) -> dict[str, Any]:
    """A fleet file's `redeploy` of the kind `release`; archives by `release_archive` in there."""
    return {
        "release": {
            "archive": f"{archives}/app-{{version}}.tar.gz",
            "version": "{version}",
            "directory": APP,
            "unit": "nginx.service",
        }
    }


def release_archive(directory: Path, version: str) -> Path:
    """Write `app-VERSION.tar.gz`: the application's files at its top level."""
    path = directory / f"app-{version}.tar.gz"
    # The page is the version and, put in by nginx, the host.
    page = f'v{version} <!--# echo var="hostname" -->\n'.encode()
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("index.html")
        info.size = len(page)
        info.mode = 0o644
        archive.addfile(info, io.BytesIO(page))
    return path


def package_redeploy() -> dict[str, Any]:
    """A fleet file's `redeploy` of the kind `package`, for what `publish_packages` offers."""
    return {"package": {"name": "lab-app", "version": "{version}"}}


def publish_packages(host: LabHost, *versions: str) -> None:
    """Offer the application as Debian packages `lab-app`, in the host's only apt source.

    Their postinst makes the version current and restarts nginx.
    """
    script = (_FILES / "publish-packages").read_bytes()
    host.run("sh", "-s", *versions, stdin=script)
