"""The apt sources of another Debian release follow from the machine's own."""

from pathlib import Path

from groundwork.sources import Source, derived, machine_sources

DEB822 = """\
Types: deb deb-src
# a comment inside
URIs: http://one.test/debian
 http://two.test/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Types: deb
Enabled: no
URIs: http://off.test/debian
Suites: bookworm

Types: deb
URIs: http://one.test/debian-security
Suites: bookworm-security
"""

ONE_LINE = """\
# deb http://commented.test/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/k.gpg] http://three.test/debian bookworm main
deb-src http://source.test/debian bookworm main
deb http://other.test/cloud cloud-bookworm main
"""


def test_sources_of_both_formats_lead_to_the_other_release(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(ONE_LINE)
    (tmp_path / "sources.list.d/debian.sources").write_text(DEB822)
    (tmp_path / "sources.list.d/debian.sources.save").write_text("deb http://saved.test/debian bookworm main")
    assert derived(machine_sources(tmp_path), "bookworm", "trixie") == [
        Source("http://three.test/debian", "trixie"),
        Source("http://one.test/debian", "trixie"),
        Source("http://two.test/debian", "trixie"),
    ]


def test_a_machine_without_sources_has_none_for_the_other_release(tmp_path: Path) -> None:
    assert machine_sources(tmp_path) == []
