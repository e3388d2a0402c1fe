"""`tidegate top` drawn: on terminals of every size."""

from dataclasses import replace

import pytest
from rich.cells import cell_len

from tidegate.cli.fleet.model import Document, read_rollout
from tidegate.cli.fleet.top_bar import bar
from tidegate.cli.fleet.top_model import Facts, Look, StandingCluster, Waiting
from tidegate.cli.fleet.top_view import draw, whole
from tidegate.domain.standing import Standing

SIZES = [(20, 4), (40, 8), (60, 15), (80, 24), (100, 30), (200, 60)]


def rollout(number: int, state: str = "running", waves: int = 3, **more: object) -> Document:
    detail = [{"wave": at, "counts": {"healthy": 2, "waiting": 8}} for at in range(1, waves + 1)]
    counts = {"healthy": 2 * waves, "waiting": 8 * waves}
    about = {"id": number, "state": state, "channel": {"id": 1, "name": "docker.io/library/nginx:1"}, "version": "2.0"}
    return about | {"wave": 2, "waves": waves, "counts": counts, "waves_detail": detail} | more


def clusters(count: int) -> tuple[StandingCluster, ...]:
    return tuple(StandingCluster(f"shop@host{at:03}", "behind", "web: 2.0 is out", ("1.0",)) for at in range(count))


def looking(**more: object) -> Look:
    facts = Facts(
        online=7,
        offline=1,
        targets=90,
        alerts=2,
        under_way=2,
        waiting=tuple(Waiting(f"thing {at} waits", "2026-11-25T12:00:00Z") for at in range(5)),
        waiting_count=9,
        rollouts=tuple(read_rollout(rollout(at)) for at in (7, 8)),
        counts={"behind": 90},
        total=90,
        matching=90,
        clusters=clusters(90),
    )
    return replace(Look("https://tidegate.example.com", facts), **more)  # type: ignore[arg-type]


def shown(look: Look, width: int, height: int, *, plain: bool = False) -> list[str]:
    return [line.plain for line in draw(look, width, height, plain=plain).lines]


@pytest.mark.parametrize(("width", "height"), [*SIZES, (1, 1), (3, 2), (10, 3), (500, 5), (12, 200)])
@pytest.mark.parametrize("kind", ["busy", "empty", "lost", "typing", "wide letters"])
def test_nothing_is_wider_or_higher_than_the_terminal(width: int, height: int, kind: str) -> None:
    wide = StandingCluster("店@主机" * 20, "failed", "坏" * 300, ("版本" * 40,))
    look = {
        "busy": looking(),
        "empty": Look("http://127.0.0.1:8080", Facts()),
        "lost": looking(lost_since="12:00:00 UTC", note="it is not reachable: " + "x" * 500),
        "typing": looking(words="y" * 200, typing=True),
        "wide letters": looking(facts=replace(looking().facts, clusters=(wide,) * 90)),
    }[kind]
    lines = shown(look, width, height)
    assert len(lines) == height
    assert max(map(cell_len, lines)) <= width


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_manager_being_away_and_the_worst_cluster_are_seen_on_every_terminal(width: int, height: int) -> None:
    worst = StandingCluster("a@b", "failed", "web: it never came up", ())
    facts = replace(looking().facts, clusters=(worst, *clusters(89)))
    lines = shown(looking(facts=facts, lost_since="12:00:00 UTC"), width, height)
    assert "reconnecting" in lines[0]
    assert any("failed" in line and "a@b" in line for line in lines) or height < 5


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (200, 60)])
def test_what_waits_and_what_goes_out_stands_above_the_clusters(width: int, height: int) -> None:
    text = "\n".join(shown(looking(), width, height))
    order = ["7 agents online", "Needs somebody (9)", "thing 0 waits", "and ", "Rollouts (2 under way)"]
    order += ["7  nginx:1 to 2.0  running", "2/10", "8  nginx:1", "Clusters (90)", "behind    shop@host000"]
    places = [text.find(one) for one in order]
    assert -1 not in places
    assert places == sorted(places)
    assert "web: 2.0 is out" in text


def test_of_many_waves_those_around_the_open_one_are_shown() -> None:
    facts = replace(looking().facts, waiting=(), waiting_count=0, under_way=1)
    one = read_rollout(rollout(7, waves=40, wave=20))
    text = "\n".join(shown(looking(facts=replace(facts, rollouts=(one,))), 80, 20))
    assert "wave 20 " in text
    assert "wave 1 " not in text
    assert "wave 40 " not in text


@pytest.mark.parametrize("width", range(20, 100, 7))
def test_how_many_of_a_wave_are_done_is_never_cut_off(width: int) -> None:
    facts = replace(looking().facts, waiting=(), waiting_count=0)
    lines = [line for line in shown(looking(facts=facts), width, 24) if line.startswith("     wave")]
    assert lines
    assert [line for line in lines if "2/10" not in line] == []


def test_of_more_rollouts_than_fit_it_is_said_how_many_are_left() -> None:
    many = tuple(read_rollout(rollout(at)) for at in range(8))
    facts = replace(looking().facts, waiting=(), waiting_count=0, rollouts=many, under_way=30)
    text = "\n".join(shown(looking(facts=facts), 80, 18))
    left = 30 - sum(f"  {at}  nginx:1" in text for at in range(8))
    assert f"and {left} more: `tidegate rollout list`" in text


def test_clusters_are_scrolled_to_the_last_one_and_no_further() -> None:
    look = looking()
    rows = draw(look, 80, 24).rows
    last = look.scrolled(10_000, rows)
    assert shown(last, 80, 24)[-2].split()[1] == "shop@host089"
    assert last.scrolled(-3, rows).offset == 90 - rows - 3
    assert look.scrolled(-1, rows).offset == 0


def test_a_cluster_that_was_not_asked_for_yet_has_an_empty_place() -> None:
    facts = replace(looking().facts, skipped=40, clusters=clusters(10))
    lines = shown(looking(facts=facts, offset=45), 80, 60)
    assert any("shop@host005" in line for line in lines)
    assert sum(line.strip() == "..." for line in lines) > 0


@pytest.mark.parametrize(
    ("facts", "said"),
    [(Facts(), "tidegate agents enrol"), (Facts(total=9, counts={"current": 0}), "No cluster matches.")],
)
def test_an_empty_list_says_why(facts: Facts, said: str) -> None:
    assert any(said in line for line in shown(looking(facts=facts), 100, 24))


def test_a_filter_is_shown_with_how_many_match_and_while_it_is_written() -> None:
    look = looking(words="web", facts=replace(looking().facts, matching=3, clusters=clusters(3)))
    assert any("Clusters with 'web' (3 of 90)" in line for line in shown(look, 100, 24))
    assert shown(replace(look, typing=True), 100, 24)[-1].startswith("/web_")


def test_no_name_moves_the_cursor_of_a_terminal() -> None:
    bad = "x\x1b[2J\x07\nx"
    facts = replace(
        looking().facts,
        waiting=(Waiting(bad, bad),),
        rollouts=(read_rollout(rollout(7, reason=bad, version=bad)),),
        clusters=(StandingCluster(bad, "failed", bad, (bad,)),) * 90,
    )
    lines = shown(looking(facts=facts, note=bad, words=bad), 200, 60)
    assert [line for line in lines if not line.isprintable()] == []
    assert [line.plain for line in whole(looking(facts=facts), 200) if not line.plain.isprintable()] == []


def test_a_snapshot_has_everything_and_no_keys() -> None:
    lines = [line.plain for line in whole(looking(), 120)]
    text = "\n".join(lines)
    assert "thing 4 waits" in text
    assert "wave 3" in text
    assert "shop@host089" in text
    assert "quit" not in text
    assert max(map(cell_len, lines)) <= 120


@pytest.mark.parametrize("plain", [False, True])
def test_where_a_terminal_has_few_letters_none_other_is_drawn(plain: bool) -> None:
    text = "\n".join(shown(looking(), 100, 30, plain=plain))
    assert text.isascii() is plain


@pytest.mark.parametrize("width", [1, 3, 10, 30])
@pytest.mark.parametrize(
    "counts", [{}, {"healthy": 1}, {"healthy": 999, "failed": 1}, dict.fromkeys(("healthy", "failed", "waiting"), 7)]
)
def test_a_bar_is_as_wide_as_it_is_meant_to_be(counts: dict[str, int], width: int) -> None:
    assert cell_len(bar(counts, width).plain) == width


def test_one_failure_among_a_thousand_is_seen_in_a_bar() -> None:
    assert "x" in bar({"healthy": 999, "failed": 1}, 10, plain=True).plain


def test_every_standing_of_the_console_has_a_colour() -> None:
    for one in Standing:
        facts = Facts(total=1, matching=1, clusters=(StandingCluster("a@b", str(one), "", ()),))
        line = next(it for it in draw(looking(facts=facts), 80, 24).lines if "a@b" in it.plain)
        assert line.spans, one
