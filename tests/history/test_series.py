"""The order of points: by date, by commits' own dates, by versions as versions."""

from dataclasses import replace

from harness.history.series import Better, Order, Point, Series, in_order, version_key

POINT = Point("2026-11-01T00:00:00", "", (), "m1", 10.0, 9.0, 11.0, 5, "run-0", "a.json")


def series(*points: Point) -> Series:
    return Series("cell", "decode_tok_s", "tok/s", Better.MORE, points)


def runs(found: Series) -> list[str]:
    return [point.run_id for point in found.points]


def test_versions_sort_as_numbers_and_a_candidate_before_its_release():
    versions = ["1.9.0", "1.32.0", "1.10.0", "1.32.0rc1", "1.32.0.post1", "1.32", ""]
    assert sorted(versions, key=version_key) == [
        *("", "1.9.0", "1.10.0", "1.32", "1.32.0rc1", "1.32.0", "1.32.0.post1"),
    ]


def test_runs_of_one_version_stand_together_by_date():
    made = [
        replace(POINT, run_id=name, when=f"2026-11-0{day}", versions=(("onnxruntime", version),))
        for name, day, version in (("a", 1, "1.32.0"), ("b", 2, "1.9.0"), ("c", 3, "1.32.0"))
    ]
    assert runs(in_order(series(*made), Order.ONNXRUNTIME)) == ["b", "a", "c"]
    assert runs(in_order(series(*made[::-1]), Order.DATE)) == ["a", "b", "c"]


def test_commits_follow_each_other_as_they_were_made_whenever_they_were_measured():
    """An old commit measured today stands where it was made; all of a commit stay together."""
    made = [
        replace(POINT, run_id=name, when=f"2026-11-0{day}", commit=commit, commit_when=when)
        for name, day, commit, when in (
            ("a", 1, "new", "2026-10-09"),
            ("b", 2, "old", "2026-10-01"),
            ("c", 3, "new", "2026-10-09"),
        )
    ]
    assert runs(in_order(series(*made), Order.COMMIT)) == ["b", "a", "c"]


def test_a_commit_without_a_date_stands_at_its_first_run():
    made = [
        replace(POINT, run_id=name, when=f"2026-11-0{day}", commit=commit)
        for name, day, commit in (("a", 1, "x"), ("b", 2, "y"), ("c", 3, "x"), ("d", 4, ""))
    ]
    assert runs(in_order(series(*made), Order.COMMIT)) == ["a", "c", "b", "d"]


def test_a_series_has_the_machine_of_its_points():
    assert series(POINT).machine == "m1"
    assert series().machine == ""
