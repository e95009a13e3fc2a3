"""Every refusal of `nginx.preflight`, by a real host in that state; nothing is changed by any."""

from __future__ import annotations

from tasks.nginx.params import Instance
from tests.lab import rootfs
from tests.lab.nginx_refusals import edit, made, refusal, upgrade
from tests.lab.nginx_upgrade import NEW_PATH, Upgrade, put_binary, run_steps
from tests.lab.waiting import wait_for

__all__ = ["made", "upgrade"]


def test_a_steady_nginx_passes(upgrade: Upgrade) -> None:
    said = run_steps(upgrade.host, upgrade.forward()[:1])

    assert said["nginx.preflight"].startswith("1.22.1 can become 1.26.3")


def test_another_upgrade_under_way_is_offered_to_be_finished_or_rolled_back(
    upgrade: Upgrade,
) -> None:
    host = upgrade.host
    run_steps(host, upgrade.forward(), stop_after="nginx.upgrade_executable")

    text = refusal(upgrade)

    assert "nginx is upgrading" in text
    assert "finish it with --force" in text
    assert "`winch nginx rollback edge`" in text


def test_an_nginx_that_does_not_run_is_refused(upgrade: Upgrade) -> None:
    upgrade.host.sh("systemctl stop nginx")

    assert "start it first (`systemctl start nginx.service`)" in refusal(upgrade)


def test_an_nginx_started_by_a_relative_path_is_refused(upgrade: Upgrade) -> None:
    upgrade.host.sh("systemctl stop nginx; cd /root && PATH=/usr/sbin:$PATH exec nginx")
    upgrade.instance = Instance(host="web1", group="edge", unit=None)

    text = refusal(upgrade)

    assert "started by the relative path `nginx`" in text
    assert "restart it once as /usr/sbin/nginx" in text


def test_an_nginx_started_by_another_path_is_refused(upgrade: Upgrade) -> None:
    upgrade.host.sh("systemctl stop nginx; ln -s /usr/sbin/nginx /usr/local/sbin/web")
    upgrade.host.sh("/usr/local/sbin/web")
    upgrade.instance = Instance(host="web1", group="edge", unit=None)

    text = refusal(upgrade)
    upgrade.host.sh("rm /usr/local/sbin/web")

    assert "set `binary: /usr/local/sbin/web`" in text


def test_a_unit_with_another_pid_file_is_refused(upgrade: Upgrade) -> None:
    host = upgrade.host
    host.write_file(
        "/etc/systemd/system/nginx.service.d/pid.conf", "[Service]\nPIDFile=/run/other.pid\n"
    )
    host.sh("systemctl daemon-reload")

    text = refusal(upgrade)

    assert "the pid files do not agree" in text
    assert "PIDFile= of nginx.service says /run/other.pid" in text
    assert "make them the same" in text


def test_a_configuration_that_names_another_pid_file_is_refused(upgrade: Upgrade) -> None:
    edit(upgrade.host, "s,^pid .*,pid /run/elsewhere.pid;,")

    assert "the configuration says /run/elsewhere.pid" in refusal(upgrade)


def test_a_compiled_in_pid_file_counts_when_the_configuration_names_none(
    upgrade: Upgrade,
) -> None:
    host = upgrade.host
    edit(host, "/^pid /d")
    binary = (rootfs.ensure("trixie") / "usr/sbin/nginx").read_bytes()
    put_binary(host, binary.replace(b"/run/nginx.pid", b"/run/ng1nx.pid"))

    assert "nginx 1.26.3 was built with /run/ng1nx.pid" in refusal(upgrade)


def test_an_nginx_that_the_unit_does_not_know_is_refused(upgrade: Upgrade) -> None:
    upgrade.host.sh("systemctl stop nginx; /usr/sbin/nginx")

    assert "say `unit: none` in the fleet file" in refusal(upgrade)


def test_a_binary_that_lacks_what_the_configuration_needs_is_refused(upgrade: Upgrade) -> None:
    host = upgrade.host
    binary = (rootfs.ensure("trixie") / "usr/sbin/nginx").read_bytes()
    # As if built without ngx_http_gunzip_module: neither its directive nor its argument.
    binary = binary.replace(b"\0gunzip\0", b"\0gunz1p\0").replace(
        b"--with-http_gunzip_module ", b"                          "
    )
    host.write_file("/etc/nginx/conf.d/gunzip.conf", "gunzip on;\n")
    put_binary(host, binary)

    text = refusal(upgrade)

    assert "it lacks --with-http_gunzip_module" in text
    assert 'unknown directive "gunzip"' in text


def test_a_binary_with_another_prefix_is_refused(upgrade: Upgrade) -> None:
    binary = (rootfs.ensure("trixie") / "usr/sbin/nginx").read_bytes()
    put_binary(
        upgrade.host, binary.replace(b"--prefix=/usr/share/nginx", b"--prefix=/opt/share/nginx")
    )

    text = refusal(upgrade)

    assert "--prefix=/opt/share/nginx (running: /usr/share/nginx)" in text


def test_a_dynamic_module_of_the_other_version_is_refused(upgrade: Upgrade) -> None:
    upgrade.host.write_file(
        "/etc/nginx/modules-enabled/echo.conf", "load_module modules/ngx_http_echo_module.so;\n"
    )

    text = refusal(upgrade)

    assert "a dynamic module does not load into nginx 1.26.3" in text
    assert "version 1022001 instead of 1026003" in text
    assert "install the modules that were built for 1.26.3" in text


def test_a_full_disk_is_refused(upgrade: Upgrade) -> None:
    host = upgrade.host
    host.sh(
        "systemctl stop nginx; mkdir -p /opt/small; mount -t tmpfs -o size=3m small /opt/small;"
        " cp /usr/sbin/nginx /opt/small/nginx; /opt/small/nginx"
    )
    upgrade.instance = Instance(host="web1", group="edge", binary="/opt/small/nginx", unit=None)
    try:
        text = refusal(upgrade)
    finally:
        host.sh("umount -l /opt/small")

    assert "the disk is full" in text
    assert "make room" in text


def test_the_version_that_runs_already_needs_force(upgrade: Upgrade) -> None:
    put_binary(upgrade.host, (rootfs.ensure("bookworm") / "usr/sbin/nginx").read_bytes())

    assert "nginx 1.22.1 runs already: use --force" in refusal(upgrade)
    upgrade.force = True
    run_steps(upgrade.host, upgrade.forward()[:1])


def test_a_configuration_that_listens_no_longer_is_refused(upgrade: Upgrade) -> None:
    upgrade.host.sh("sed -i 's/listen 80 .*/listen 8080;/' /etc/nginx/conf.d/app.conf")

    text = refusal(upgrade)

    assert "no longer listens on tcp 0.0.0.0:80" in text


def test_a_configuration_that_is_broken_on_the_disk_is_refused(upgrade: Upgrade) -> None:
    upgrade.host.write_file("/etc/nginx/conf.d/broken.conf", "nonsense on;\n")

    text = refusal(upgrade)

    assert "broken, for the running 1.22.1 too" in text
    assert 'unknown directive "nonsense"' in text


def test_daemon_off_is_refused_because_nginx_then_ignores_winch(upgrade: Upgrade) -> None:
    host = upgrade.host
    host.sh("systemctl stop nginx; systemd-run --unit=fg /usr/sbin/nginx -g 'daemon off;'")
    wait_for(lambda: host.exists("/run/nginx.pid"), "nginx runs")
    upgrade.instance = Instance(host="web1", group="edge", unit=None)

    text = refusal(upgrade)
    host.sh("systemctl stop fg")

    assert "ignores WINCH" in text


def test_a_binary_that_was_damaged_or_does_not_run_is_refused(upgrade: Upgrade) -> None:
    host = upgrade.host
    host.sh(f"echo more >>{NEW_PATH}")
    assert "was damaged or replaced on its way" in refusal(upgrade)

    put_binary(host, b"no program")
    assert "does not run here" in refusal(upgrade)

    host.sh(f"rm {NEW_PATH}")
    assert "cannot read the new binary" in refusal(upgrade)
