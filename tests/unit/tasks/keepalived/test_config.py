"""keepalived.conf, as far as Winch reads it."""

from __future__ import annotations

from tasks.keepalived.config import TrackFile, editable, parse_config

TEXT = """\
! a comment { with a brace
include conf.d/*.conf
track_file maint {   # the way to a failover
    file "/etc/keepalived/maint"
    weight 2 reverse
}
vrrp_track_file old { file /run/old }
vrrp_sync_group G {
    group {
        VI_1
        VI_2
    }
}
vrrp_instance VI_1
{
    virtual_router_id 51
    track_script { chk weight 5 }
    track_file {
        maint weight 3
        old
    }
    track_file { other }
}
vrrp_instance "VI_2" { priority 100 }
"""


def test_track_files_instances_and_sync_groups_are_found() -> None:
    found = parse_config([("/a", TEXT), ("/b", "vrrp_instance VI_3 {\n}\n")])

    assert found.files == ("/a", "/b")
    assert found.track_files == {
        "maint": TrackFile("maint", "/etc/keepalived/maint", -2),
        "old": TrackFile("old", "/run/old", 1),
    }
    assert found.instances.keys() == {"VI_1", "VI_2", "VI_3"}
    assert found.instances["VI_3"].file == "/b"
    assert found.instances["VI_1"].tracks == {"maint": 3, "old": None, "other": None}
    assert found.watched("VI_1") == {"/etc/keepalived/maint": 3, "/run/old": 1}
    assert found.watched("VI_2") == {}
    assert found.watched("nobody") == {}
    assert found.group_of("VI_1") == {"VI_1", "VI_2"}
    assert found.group_of("VI_3") == {"VI_3"}
    assert found.marked == ()


def test_the_lines_of_prepare_are_recognised() -> None:
    text = "# begin: winch pair prepare\ntrack_file x {\n}\n# end: winch pair prepare\n"
    assert parse_config([("/a", text)]).marked == ("/a",)


def test_names_that_could_mean_something_to_awk_are_not_edited() -> None:
    assert editable("VI_1")
    assert not editable("a,b")
    assert not editable('a"b')
    assert not editable("")
