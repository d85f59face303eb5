"""Cells of a plan: one per session group, the same bytes each time, and nothing else is read."""

import json
from dataclasses import replace

import pytest

from harness.core.errors import UsageError
from harness.fleet import cells as cells_module
from harness.fleet.cells import (
    CellFile,
    ModelRef,
    check_versions,
    parse_cell,
    read_cell,
    read_cells,
    write_cells,
)
from harness.fleet.laying import cells_of
from harness.fleet.model_files import find_word
from harness.runner.plan import make_plan
from harness.runner.settings import load_settings, shipped_plans


def laid(**flags):
    plan = {"model": ("bytelm",), "quant": ("int4",), "threads": ("1",)} | flags
    return cells_of(load_settings("ci", **plan))


@pytest.fixture(scope="module")
def one():
    (cell,) = laid()
    return cell


def changed(cell: CellFile, **parts) -> bytes:
    """A cell's file with other parts and a hash that fits them: what an attacker would send."""
    table = json.loads(cell.encoded())
    for key, value in parts.items():
        if isinstance(value, dict) and isinstance(table.get(key), dict):
            table[key] = table[key] | value
        else:
            table[key] = value
    del table["hash"]
    return json.dumps({**table, "hash": cells_module._hash_of(table)}).encode()


@pytest.mark.parametrize("name", ["default", "ci", "sweep", "kv", "full"])
def test_cells_are_the_session_groups_of_a_plan(name):
    """All rows of the plan, each in one cell, and every file reads back as what was written."""
    settings = load_settings(name)
    cells = cells_of(settings)
    groups = make_plan(settings, 64).groups
    assert len(cells) == len(groups)
    assert sum(len(cell.rows) for cell in cells) == sum(len(one.workloads) for one in groups)
    for cell in cells:
        again = parse_cell(cell.encoded())
        assert (again.settings, again.rows) == (cell.settings, cell.rows)
        assert again.encoded() == cell.encoded()


def test_every_shipped_plan_that_ships_is_tried_or_too_large():
    assert {"default", "ci", "sweep", "kv", "full"} <= set(shipped_plans())


def test_what_a_machine_decides_stays_a_word():
    """A class of devices and all threads; a level that no NPU takes has no cell of it."""
    cells = laid(device=("cpu", "npu"), threads=("1", "all"), quant=("int4", "a16w8"))
    found = {(cell.device, cell.settings.threads[0], cell.rows[0].level) for cell in cells}
    assert ("cpu", "all", "int4") in found
    assert ("npu", "1", "a16w8") in found
    assert ("npu", "1", "int4") not in found
    for cell in cells:
        assert {row.threads for row in cell.rows} == {0 if "all" in cell.settings.threads else 1}
        assert all(bool(row.provider) == (cell.device == "cpu") for row in cell.rows)


def test_models_of_two_kinds_take_the_tests_that_are_theirs():
    cells = laid(model=("bytelm", "all-minilm-l6-v2"), prompt=(16,), enc=((16, 1),))
    tests = {cell.rows[0].model: [row.workload for row in cell.rows] for cell in cells}
    assert tests == {"bytelm": ["pp16 @ d0"], "all-minilm-l6-v2": ["enc16x1"]}


def test_limits_go_with_the_cells_whose_tests_answer_them():
    cells = laid(model=("bytelm", "all-minilm-l6-v2"), require=("decode>=1", "peak<=2GiB"))
    limits = {cell.rows[0].model: len(cell.settings.require) for cell in cells}
    assert limits == {"bytelm": 2, "all-minilm-l6-v2": 1}


def test_written_twice_it_is_the_same_file(tmp_path, one):
    for _ in range(2):
        (path,) = write_cells([one], tmp_path)
        assert path.name == f"cell-{one.hash}.json"
        assert [file.read_bytes() for file in tmp_path.iterdir()] == [one.encoded()]
    assert read_cells(tmp_path) == (one,)


def test_a_cell_under_the_name_of_another_is_refused(tmp_path, one):
    path = tmp_path / f"cell-{'0' * 16}.json"
    path.write_bytes(one.encoded())
    with pytest.raises(UsageError, match=f"cell-{one.hash}"):
        read_cell(path)


def test_a_byte_that_flipped_is_told(one):
    with pytest.raises(UsageError, match="hash"):
        parse_cell(one.encoded().replace(b'"rounds":', b'"rounds":1'))


REFUSED = {
    "no cell": ({"format": "bench.results"}, "bench.cell"),
    "newer format": ({"version": 2}, "format is 2"),
    "another key": ({"run": "touch x"}, "run"),
    "key of a plan": ({"plan": {"command": "x"}}, "command"),
    "a model by path": ({"model": {"name": "/etc"}}, "no plain name"),
    "a model above": ({"model": {"source": "sha256", "name": ".."}}, "no plain name"),
    "a part above": (
        {"model": {"source": "sha256", "name": "a", "inside": "b/../../c.onnx"}},
        "no plain name",
    ),
    "a drive": ({"model": {"source": "sha256", "name": "C:\\x"}}, "no plain name"),
    "no hash": ({"model": {"source": "sha256", "name": "a", "sha256": "12"}}, "SHA-256"),
    "no commit": ({"model": {"source": "hub", "name": "hf:a/b@main"}}, "commit"),
    "an unknown source": ({"model": {"source": "url", "name": "a"}}, "url"),
    "an unknown name": ({"model": {"name": "no-such-model"}}, "catalog"),
    "a key of a model": ({"model": {"path": "/x"}}, "path"),
    "a server": ({"plan": {"runtime": ["http://10.0.0.1:80"]}}, "runtime"),
    "a text file": ({"plan": {"text": "/etc/passwd", "quality": True}}, "text"),
    "a file of tasks": ({"plan": {"tasks": "../x.jsonl"}}, "tasks"),
    "a reference": ({"plan": {"reference": "./folder"}}, "reference"),
    "a library": ({"plan": {"ep_option": ["backend_path=evil.so"]}}, "option"),
    "a bare library": ({"plan": {"ep_option": ["x=evil.so"]}}, "option"),
    "a place": ({"plan": {"ep_option": ["cache=/tmp/x"]}}, "option"),
    "auto": ({"plan": {"device": ["auto"]}}, "device"),
    "two levels": ({"plan": {"quant": ["fp32", "int4"]}}, "quant has 2"),
    "a range": ({"plan": {"batch": ["1-4*2"]}}, "batch has 3"),
    "a wrong type": ({"plan": {"rounds": "many"}}, "rounds"),
    "no number": ({"plan": {"rounds": []}}, "rounds"),
    "no rows": ({"rows": {}}, "damaged"),
    "an unknown word": ({"given": ["sudo"]}, "sudo"),
    "values beside": ({"rows": [{"x": 1}]}, "damaged"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_else_is_read(one, name):
    """Each is refused by name, though its hash fits."""
    parts, told = REFUSED[name]
    with pytest.raises(UsageError, match=told):
        parse_cell(changed(one, **parts))


def test_what_a_reader_would_pass_over_is_refused(one):
    rows = [{**row, "else": 1} for row in json.loads(one.encoded())["rows"]]
    with pytest.raises(UsageError, match="not as it would be written"):
        parse_cell(changed(one, rows=rows))


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b" " * 2_000_000])
def test_what_is_no_cell_ends_in_a_sentence(content):
    with pytest.raises(UsageError):
        parse_cell(content)


def test_another_version_is_refused_by_name(one):
    with pytest.raises(UsageError, match=r"bench 9\.9"):
        check_versions(replace(one, bench="9.9"))
    with pytest.raises(UsageError, match="method 1"):
        check_versions(replace(one, method_version=1))
    check_versions(one)


@pytest.fixture
def folder_cell(make_tiny, tmp_path):
    make_tiny(tmp_path / "home" / "my-tiny")
    (cell,) = laid(model=(str(tmp_path / "home" / "my-tiny"),), prompt=(8,))
    return cell


def test_a_folder_is_found_by_its_hash_under_any_name(folder_cell, tmp_path):
    """And nothing of the place where it was planned stands in the file."""
    assert str(tmp_path).encode() not in folder_cell.encoded()
    assert folder_cell.model.name == "my-tiny"
    (tmp_path / "home" / "my-tiny").rename(tmp_path / "home" / "other")
    assert find_word(folder_cell, [tmp_path / "home"]) == str(tmp_path / "home" / "other")


def test_a_changed_model_is_another(folder_cell, tmp_path):
    config = tmp_path / "home" / "my-tiny" / "config.json"
    config.write_bytes(config.read_bytes().replace(b" ", b"\t", 1))
    with pytest.raises(UsageError, match="my-tiny"):
        find_word(folder_cell, [tmp_path / "home"])


def test_without_a_folder_of_models_nothing_is_looked_for(folder_cell):
    with pytest.raises(UsageError, match="no folder of models"):
        find_word(folder_cell, [])


def test_no_link_leads_out_of_the_folder_of_models(folder_cell, tmp_path):
    """Neither one to the model, nor one of its files."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "my-tiny").symlink_to(tmp_path / "home" / "my-tiny")
    with pytest.raises(UsageError, match="not here"):
        find_word(folder_cell, [theirs])
    (theirs / "my-tiny").unlink()
    (theirs / "my-tiny").mkdir()
    for file in (tmp_path / "home" / "my-tiny").iterdir():
        (theirs / "my-tiny" / file.name).symlink_to(file)
    with pytest.raises(UsageError, match="not here"):
        find_word(folder_cell, [theirs])


def test_the_hub_is_asked_only_where_that_is_allowed(one, tmp_path):
    name = f"hf:org/name@{'a' * 40}"
    cell = replace(one, model=ModelRef(source="hub", name=name))
    with pytest.raises(UsageError, match="fetch nothing"):
        find_word(cell, [])
    asked = []
    assert find_word(cell, [], lambda word: asked.append(word) or tmp_path) == str(tmp_path)
    assert asked == [name]
