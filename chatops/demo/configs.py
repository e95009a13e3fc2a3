"""What the demo's programs are configured with: pure functions from a layout to text."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SERVERS = {f"web{n}": f"127.0.0.{10 + n}" for n in range(1, 5)}
BALANCERS = {"lb1": "127.0.0.21", "lb2": "127.0.0.22"}
DOWNLOAD_BYTES = 400_000
DOWNLOAD_RATE = 200_000  # bytes a second: two seconds for one download


@dataclass(frozen=True)
class Layout:
    """Where everything of one demo lies, and on which ports it listens."""

    directory: Path
    user: str
    group: str
    is_root: bool
    ssh_port: int
    web_port: int
    balancer_port: int

    @property
    def fleet(self) -> Path:
        return self.directory / "fleet.yaml"

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def redeploy(self) -> Path:
        return self.directory / "redeploy"

    def admin_socket(self, balancer: str) -> Path:
        return self.directory / f"{balancer}.sock"


def nginx_conf(layout: Layout, name: str) -> str:
    """Configure one nginx. What it answers comes from the release that `current` points to."""
    home = layout.directory / name
    user = f"user {layout.user} {layout.group};\n" if layout.is_root else ""
    paths = "\n".join(
        f"    {kind}_temp_path {home}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""{user}worker_processes 1;
pid {home}/nginx.pid;
error_log {home}/error.log warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    default_type text/plain;
{paths}
    server {{
        listen {SERVERS[name]}:{layout.web_port};
        add_header X-Server {name};
        include {home}/current/site.conf;
        location = /download {{
            alias {layout.directory}/download;
            limit_rate {DOWNLOAD_RATE};
        }}
    }}
}}
"""


def site_conf(version: str) -> str:
    """Write one release of the demo's application: it says its version."""
    return f'location = / {{ return 200 "Winch demo v{version}\\n"; }}\n'


def redeploy_script(layout: Layout, nginx: Path, environment: Mapping[str, str]) -> str:
    """Write the demo's deployment: stop, swap the release, start.

    It is as rude as many a deployment is: who is not drained meets a closed port.
    """
    settings = "".join(f"{key}={shlex.quote(value)} " for key, value in environment.items())
    return f"""#!/bin/sh
# redeploy NAME VERSION
set -eu
cd {shlex.quote(str(layout.directory))}/"$1"
test -d "../releases/$2" || {{ echo "no release $2" >&2; exit 1; }}
if pid=$(cat nginx.pid 2>/dev/null); then
    # Gone is when the pid file is: a process that nobody has waited for still takes signals.
    kill -QUIT "$pid" 2>/dev/null || rm -f nginx.pid
    tries=0
    while [ -e nginx.pid ]; do
        tries=$((tries + 1))
        [ $tries -lt 200 ] || {{ echo "nginx $pid does not quit" >&2; exit 1; }}
        sleep 0.05
    done
fi
rm -f current.new
ln -s "../releases/$2" current.new
mv -Tf current.new current
{settings}{shlex.quote(str(nginx))} -c "$PWD/nginx.conf" -e "$PWD/error.log" \\
    </dev/null >/dev/null 2>>error.log
"""


def haproxy_cfg(layout: Layout, name: str) -> str:
    """Configure one balancer. No `retry-on`: what Winch does wrong must show."""
    servers = "\n".join(
        f"    server {server} {address}:{layout.web_port} check inter 200ms rise 2 fall 2"
        for server, address in SERVERS.items()
    )
    return f"""global
    stats socket {layout.admin_socket(name)} mode 600 level admin
    maxconn 1000
defaults
    mode http
    balance roundrobin
    timeout connect 2s
    timeout client 30s
    timeout server 30s
frontend www
    bind {BALANCERS[name]}:{layout.balancer_port}
    default_backend web
backend web
    option httpchk GET /
{servers}
"""


def sshd_config(layout: Layout, *, use_pam: bool, helpers: Mapping[str, Path]) -> str:
    """Configure an sshd of the demo's own: its host key, one key that may enter, no passwords.

    `helpers`: options of newer versions that say where sshd's own helpers were unpacked.
    """
    listen = "\n".join(
        f"ListenAddress {address}:{layout.ssh_port}" for address in (SERVERS | BALANCERS).values()
    )
    extra = "".join(f"{option} {path}\n" for option, path in helpers.items())
    return f"""{listen}
HostKey {layout.directory}/host_key
AuthorizedKeysFile {layout.directory}/authorized_keys
PidFile none
StrictModes no
UsePAM {"yes" if use_pam else "no"}
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowUsers {layout.user}
UseDNS no
PrintMotd no
PrintLastLog no
MaxStartups 100
MaxSessions 64
SetEnv WINCH_RUN_DIR={layout.directory}/run
{extra}"""


def known_hosts(layout: Layout, public_key: str) -> str:
    """List the one host key under every address and port."""
    return "".join(
        f"[{address}]:{layout.ssh_port} {public_key}\n"
        for address in (SERVERS | BALANCERS).values()
    )


def fleet_yaml(layout: Layout) -> str:
    """Write the demo's fleet file, as a user would write one."""

    def quoted(value: object) -> str:
        return json.dumps(str(value))  # a JSON text is a YAML text

    current = f"readlink {shlex.quote(str(layout.directory))}/{{name}}/current"
    run = shlex.quote(str(layout.redeploy))
    hosts = "\n".join(
        f"  {name}: {{address: {address}}}" for name, address in (SERVERS | BALANCERS).items()
    )
    balancers = "\n".join(
        f"  {name}: {{sockets: [{quoted(layout.admin_socket(name))}]}}" for name in BALANCERS
    )
    return f"""# The fleet of `winch demo`: every host is an address of this machine.
ssh:
  user: {quoted(layout.user)}
  port: {layout.ssh_port}
  identity_file: {quoted(layout.directory / "id")}
  known_hosts: {quoted(layout.directory / "known_hosts")}
vars: {{version: "1"}}

hosts:
{hosts}

balancers:
{balancers}

pools:
  web:
    balancers: [{", ".join(BALANCERS)}]
    backends: [web]
    servers: {{{", ".join(f"{name}: {{}}" for name in SERVERS)}}}
    drain: {{timeout: 20s}}
    redeploy:
      command:
        facts: {quoted(current)}
        run: {quoted(run + " {name} {version}")}
        undo: {quoted(run + ' {name} "$(basename "$WINCH_BEFORE")"')}
    verify:
      - http:
          url: "http://{{address}}:{layout.web_port}/"
          status: 200
          contains: "v{{version}}"
          interval: 200ms
          consecutive: 2
    enable: {{stable: 1s}}
    policy: {{max_unavailable: 1, stages: [1, 100%], max_failures: 0}}
"""
