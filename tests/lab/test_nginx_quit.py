"""Before and after QUIT: a reload works, and what the upgrade leaves on the disk."""

from __future__ import annotations

import json

import pytest

from tests.lab.nginx_each import begin, module_lab, serving, upgrade
from tests.lab.nginx_upgrade import NEW, NEW_PATH, OLD, Upgrade, observe, run_steps
from worker.errors import Failed

__all__ = ["module_lab", "upgrade"]


def test_the_old_master_is_not_ended_while_a_reload_would_fail(upgrade: Upgrade) -> None:
    host = upgrade.host
    begin(upgrade, "soak")
    quit_ = upgrade.forward()[6:7]
    host.write_file("/etc/nginx/conf.d/broken.conf", "nonsense on;\n")
    with pytest.raises(Failed, match=r'reload nginx\.service` to work: .*directive "nonsense"'):
        run_steps(host, quit_)
    host.sh("rm /etc/nginx/conf.d/broken.conf")

    reload = '/bin/sh -c "/bin/kill -s HUP $(/bin/cat /run/@.pid)"'
    unit = f"[Service]\nExecReload=\nExecReload={reload}\n"
    drop_in = "/etc/systemd/system/nginx.service.d/reload.conf"
    host.write_file(drop_in, unit.replace("@", "other"))
    host.sh("systemctl daemon-reload")
    with pytest.raises(Failed, match=r"takes the pid from /run/other\.pid, and nginx writes it"):
        run_steps(host, quit_)
    assert str(observe(host)[1]) == "old master idle"

    host.write_file(drop_in, unit.replace("@", "nginx"))
    host.sh("systemctl daemon-reload")
    assert "follows it and can reload it" in run_steps(host, quit_)["nginx.quit"]
    serving(host, NEW)


def test_a_reload_is_done_when_asked_for(upgrade: Upgrade) -> None:
    host = upgrade.host
    upgrade.quit_ = {"reload": True}
    begin(upgrade, "soak")
    new = observe(host)[1].new
    assert new is not None

    said = run_steps(host, upgrade.forward()[6:7])

    assert "nginx.service follows it and reloads it" in said["nginx.quit"]
    (master,) = observe(host)[0].masters
    assert master.pid == new.pid
    assert not {worker.pid for worker in new.workers} & {child.pid for child in master.workers}
    assert host.sh("systemctl is-active nginx") == "active"
    serving(host, NEW)


def test_owner_mode_capabilities_and_label_are_kept_there_and_back(upgrade: Upgrade) -> None:
    """No kernel here enforces SELinux: its label is an extended attribute like any other."""
    host = upgrade.host
    host.sh("chown root:adm /usr/sbin/nginx; chmod 750 /usr/sbin/nginx")
    host.sh("setcap cap_net_bind_service+ep /usr/sbin/nginx")
    label = "import os; os.setxattr('/usr/sbin/nginx', 'security.selinux', b'a_u:b_r:c_t:s0\\0')"
    host.run("python3", "-c", label)
    look = "stat -c '%U:%G %a %C' /usr/sbin/nginx; getcap /usr/sbin/nginx"
    before = host.sh(look)
    assert "root:adm 750 a_u:b_r:c_t:s0" in before
    assert "cap_net_bind_service" in before

    run_steps(host, upgrade.forward())
    assert host.sh(look) == before
    serving(host, NEW)

    run_steps(host, upgrade.back())
    assert host.sh(look) == before
    serving(host, OLD)


def test_what_cannot_be_kept_is_told_and_nothing_is_replaced(upgrade: Upgrade) -> None:
    host = upgrade.host
    host.sh("setcap cap_net_bind_service+ep /usr/sbin/nginx")
    host.write_file(  # as on a file system without extended attributes
        "/usr/local/bin/cp",
        '#!/bin/sh\ncase $1 in --attr*) exec /bin/cp --attributes-only --preserve=mode "$3" "$4" ;;'
        ' esac\nexec /bin/cp "$@"\n',
        mode=0o755,
    )

    with pytest.raises(Failed, match=r"capabilities cannot be kept: expected .*cap_net_b"):
        begin(upgrade, "stage")

    host.sh("rm /usr/local/bin/cp")
    serving(host, OLD)
    assert "winch-new" not in host.sh("ls /usr/sbin")


def test_the_last_few_binaries_stay_and_whatever_a_way_back_needs(upgrade: Upgrade) -> None:
    host = upgrade.host
    backups = [f"/usr/sbin/nginx.winch-1.2.{number}" for number in range(5)]
    places = [f"/var/lib/winch/nginx/binary-{number}" for number in range(5)]
    for place in places:
        host.sh(f"mkdir -p {place}; cp {NEW_PATH} {place}/nginx; touch -d '2 days ago' {place}")
    for backup in backups:
        host.sh(f"cp /usr/sbin/nginx {backup}; touch -d '2 days ago' {backup}")
    kept = "/var/lib/winch/nginx/other.json"  # of another nginx of this host
    one = {"version": "1", "sha256": "0" * 64, "path": f"{places[0]}/nginx"}
    host.write_file(kept, json.dumps({"old": one, "new": one}))

    said = run_steps(host, upgrade.forward())

    assert "4 old binaries removed" in said["nginx.quit"]
    left = host.sh("ls -d /var/lib/winch/nginx/binary-* /usr/sbin/nginx.winch-*").split()
    assert left == [f"/usr/sbin/nginx.winch-{version}" for version in ("1.2.3", "1.2.4", OLD)] + [
        places[0],
        *places[2:],
    ]
    run_steps(host, upgrade.back())
    serving(host, OLD)
