"""Fault: folders and files whose names hold Unicode, spaces and emoji.

What must remain true: a run as any other: built, measured in real processes, resumed from, drawn
and verified, by the names as they were typed.
"""

import json
import shutil

import pytest

from harness.cli.main import main
from harness.core.errors import EXIT_OK
from harness.results.document import read_document

PLACES = ("with two  spaces", "모델 é ñ Ω", "🙂 👩‍🚀", 'quo\'te "and" $HOME', "%41 #? &")


@pytest.mark.parametrize("name", PLACES)
def test_a_name_of_any_letters_is_planned_found_and_drawn(name, tiny_folder, tmp_path, capsys):
    """Without a process: the model, its plan, and a document that is stored beside it."""
    folder = tmp_path / name
    model = shutil.copytree(tiny_folder, folder / f"{name} model")
    plan = folder / f"{name}.toml"
    plan.write_text(f"model = [{json.dumps(str(model), ensure_ascii=False)}]\ngen = [4]\n", "utf-8")
    assert main(["run", "--config", str(plan), "--quant", "int4", "--dry-run"]) == EXIT_OK
    assert f"{name} model".split()[0] in capsys.readouterr().out


def test_a_run_between_such_names_is_one_as_any_other(tiny_folder, tmp_path, capsys):
    """In real processes: the name of the model, the cache, the results, the folder they lie in."""
    folder = tmp_path / " ".join(PLACES[:3])
    model = shutil.copytree(tiny_folder, folder / f"{PLACES[1]} {PLACES[2]}")
    results, cache = folder / PLACES[2], folder / PLACES[0]
    words = ["run", "--model", str(model), "--quant", "int4", "--gen", "4", "--threads", "1"]
    words += ["--rounds", "1", "--no-calibrate", "-q"]
    words += ["--results", str(results), "--cache", str(cache)]
    assert main([*words, "--format", "json"]) == EXIT_OK
    drawn = json.loads(capsys.readouterr().out)
    (path,) = results.iterdir()
    document = read_document(path)
    assert {record.status for record in document.records} == {"ok"}
    named = document.records[0].cell.model
    assert drawn["records"][0]["cell"]["model"] == named
    assert named.partition("@")[0] == model.name
    for asked in (["report"], ["explain"], ["verify"]):
        assert main([*asked, str(path)]) == EXIT_OK
    assert main(["results", str(results)]) == EXIT_OK
    assert main(["cache", "--cache", str(cache)]) == EXIT_OK
    assert path.name in capsys.readouterr().out
