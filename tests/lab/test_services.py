"""What other tests take for granted about the lab's services and its judges."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import yaml

from tests.lab import haproxy, keepalived, nginx
from tests.lab.farm import Farm
from tests.lab.haproxy import Backend, Server
from tests.lab.keepalived import VirtualAddress
from tests.lab.load import Ab, Download, KeepAlive, fetch, run_ab
from tests.lab.topology import Lab
from tests.lab.waiting import wait_for


def test_haproxy_balances_over_the_servers(farm: Farm) -> None:
    for url in farm.urls:
        assert {fetch(url) for _ in range(8)} == {f"v1.25 web{n}" for n in (1, 2, 3, 4)}

    states = farm.states()
    assert len(states) == 8
    assert {state.status for state in states.values()} == {"UP"}
    assert {state.settings for state in states.values()} == {(0, 100)}
    load = run_ab(farm.urls[0], requests=2000)
    assert (load.complete, load.lost) == (2000, 0)


def test_haproxy_is_told_by_its_admin_and_its_master_socket(farm: Farm) -> None:
    balancer = farm.balancers[0]
    haproxy.runtime(balancer, "set server web_servers/web1 state drain")
    haproxy.runtime(balancer, "set weight web_servers/web2 50")

    assert farm.states()["lb1 web_servers/web1"].admin == 8
    assert farm.settings()["lb1 web_servers/web2"] == (0, 50)
    assert "web1" not in {fetch(farm.urls[0]).split()[1] for _ in range(8)}
    assert "worker" in haproxy.runtime(balancer, "show proc", haproxy.MASTER_SOCKET)


def test_backends_have_weights_cookies_and_backup_servers(farm: Farm) -> None:
    web1, web2, web3, web4 = farm.servers
    balancer = farm.balancers[0]
    sticky = Backend(
        "sticky",
        [
            Server("a", web1.address, weight=200, cookie="a"),
            Server("b", web2.address, cookie="b"),
            Server("spare", web3.address, backup=True),
            Server("off", web4.address, options="disabled"),
        ],
        lines=["cookie SRV insert indirect"],
    )
    plain = Backend("plain", [Server("only", web4.address)], check=None, listen=8080)
    haproxy.install_haproxy(balancer, [sticky, plain])

    states = haproxy.servers_state(balancer)
    assert states["sticky/a"].weight == 200
    assert states["sticky/off"].status == "MAINT"
    assert states["plain/only"].status == "no check"
    assert {fetch(farm.urls[0]) for _ in range(6)} == {"v1.25 web1", "v1.25 web2"}
    download = Download(balancer.address, "/", headers={"Cookie": "SRV=b"}).start()
    download.wait()
    assert download.server == "web2"
    assert fetch(f"http://{balancer.address}:8080/") == "v1.25 web4"


def test_a_deploy_without_a_drain_is_noticed_by_every_judge(farm: Farm) -> None:
    balancer = farm.balancers[0].address
    downloads = [Download(balancer).start() for _ in farm.servers]
    wait_for(lambda: all(download.begun for download in downloads), "all downloads have begun")

    with Ab(farm.urls[0]) as load, KeepAlive(balancer) as client:
        nginx.deploy(farm.servers[0], "1.26")

    assert load.result.lost > 0
    for download in downloads:
        download.wait()
    broken = [download for download in downloads if download.broken]
    assert [download.server for download in broken] == ["web1"]
    assert client.counts.ok > 0
    assert farm.versions()["web1"] == "1.26"


def test_a_load_that_nothing_disturbs_loses_nothing(farm: Farm) -> None:
    address = farm.balancers[1].address
    with Ab(farm.urls[1]) as load, KeepAlive(address) as client, Ab(farm.urls[0], keepalive=True):
        wait_for(lambda: client.counts.ok > 100, "a hundred requests")

    assert load.result.complete > 0
    assert load.result.lost == 0
    assert client.counts.lost == 0
    assert client.counts.reconnects == 0


@pytest.mark.parametrize("version", ["broken1", "1.26"])
def test_a_broken_version_answers_500_and_stays_healthy(farm: Farm, version: str) -> None:
    web1 = farm.servers[0]
    nginx.sabotage(web1, "1.26")
    nginx.deploy(web1, version)

    with pytest.raises(httpx.HTTPStatusError, match="500"):
        fetch(f"http://{web1.address}/")
    assert fetch(f"http://{web1.address}/health") == "ok"
    nginx.mend(web1)
    nginx.deploy(web1, "1.26")
    assert fetch(f"http://{web1.address}/") == "v1.26 web1"


def test_the_application_comes_as_an_archive_and_as_a_package(farm: Farm, tmp_path: Path) -> None:
    web1 = farm.servers[0]
    archive = nginx.release_archive(tmp_path, "1.27")
    web1.write_file("/tmp/app.tar.gz", archive.read_bytes())
    web1.sh(
        "cd /srv/app; mkdir releases/1.27; tar -xzf /tmp/app.tar.gz -C releases/1.27;"
        " ln -sfn releases/1.27 current; systemctl restart nginx"
    )
    assert fetch(f"http://{web1.address}/") == "v1.27 web1"

    nginx.publish_packages(web1, "1.28", "1.29")
    for version in ("1.28", "1.29", "1.28"):
        web1.sh(f"apt-get install -y --allow-downgrades lab-app={version}")
        assert fetch(f"http://{web1.address}/") == f"v{version} web1"


def test_the_fleet_file_names_every_host_and_how_to_reach_it(farm: Farm) -> None:
    data = yaml.safe_load(farm.fleet(pool={"drain": {"timeout": "5s"}}).read_text())

    assert data["hosts"]["web1"] == {"address": farm.servers[0].address}
    assert set(data["balancers"]) == {"lb1", "lb2"}
    assert data["pools"]["web"]["drain"] == {"timeout": "5s"}
    assert Path(data["ssh"]["identity_file"]).is_file()
    assert Path(data["ssh"]["known_hosts"]).is_file()


@pytest.mark.parametrize("unicast", [True, False])
def test_an_address_moves_to_the_other_member_and_home_again(lab: Lab, unicast: bool) -> None:
    lb1, lb2 = members = lab.hosts("lb1", "lb2")
    first = VirtualAddress(lab.network.allocate(), 50, "lb1")
    second = VirtualAddress(lab.network.allocate(), 55, "lb2")
    keepalived.install_pair(members, [first, second], advert_interval=0.1, unicast=unicast)
    assert keepalived.states(lb1) == {50: "MASTER", 55: "BACKUP"}

    lb1.write_file(keepalived.TRACK_FILE, "-100\n")
    wait_for(lambda: keepalived.holders(members, first.ip) == ["lb2"], "lb2 holds the address")
    assert keepalived.states(lb2) == {50: "MASTER", 55: "MASTER"}

    lb1.write_file(keepalived.TRACK_FILE, "0\n")
    wait_for(lambda: keepalived.holders(members, first.ip) == ["lb1"], "the address is at home")

    lb1.partition(lb2)
    wait_for(lambda: len(keepalived.holders(members, first.ip)) == 2, "split brain")
