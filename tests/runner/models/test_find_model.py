"""One word for a model: what it means in every command and in Python, and what is said if nothing.

Every row is a form of word; every command is asked about it.
"""

import shutil
from pathlib import Path

import pytest

import harness
from harness.cli.main import main
from harness.core.errors import HarnessError, ModelError, UsageError
from harness.models.catalog.catalog import alias_names, catalog_names, load_spec, read_aliases
from harness.models.catalog.counts import read_counts
from harness.models.catalog.names import SHORT as CUT_SHORT
from harness.models.catalog.names import known_name
from harness.models.specs.tensors import parameters
from harness.models.unknown import known_names
from harness.runner.models import find_model
from harness.store.fetch import Hub
from tests.builder.graph.seeded_folder import folder_of
from tests.exports import EXPORTS
from tests.store.hub_stub import COMMIT, running_stub

LLAMA = folder_of("llama-tied")
SHORT = str(Path(__file__).with_name("short.toml"))
# word -> name, parameters; all of them can be measured
MEASURED = {
    "smollm2-135m": ("smollm2-135m", 134_515_008),
    "bytelm": ("bytelm", None),
    "all-minilm-l6-v2": ("all-minilm-l6-v2", 22_713_216),
    "llama-2-7b": ("llama-2-7b", 6_738_415_616),
    "deepseek-r1-distill-qwen-1.5b": ("deepseek-r1-distill-qwen-1.5b", 1_777_088_000),
    str(LLAMA): ("llama-tied", None),
    str(EXPORTS / "optimum" / "llama-past"): ("llama-past", None),
    str(EXPORTS / "optimum" / "sentence-bert" / "model.onnx"): ("sentence-bert", 24_384),
    str(EXPORTS / "genai" / "llama-int4"): ("llama-int4", None),
}
# word -> parameters of what can be estimated only, and what its refusal names besides
ESTIMATED = {
    "whisper-tiny": (37_760_640, "FILE.onnx"),
    "gpt-3": (175_000_000_000, "--on DEVICE"),
    "SOLAR": (10_731_524_096, "--model solar-10.7b"),
    "7B": (7_000_000_000, "--on DEVICE"),
    "1.5 billion": (1_500_000_000, "'1.5 billion'"),
    "3000억": (300_000_000_000, "--on DEVICE"),
}
UNKNOWN = {
    "smolm2-135m": "smollm2-135m",
    "bytlm": "bytelm",
    "lama-2-7b": "llama-2-7b",
    "wisper-tiny": "whisper-tiny",
    "./nowhere/smollm2-135": "smollm2-135m",
    "zzz": "`bench models` lists the names",
}
# commands that measure, and all of them; WORD stands for the word
MEASURING = (
    ("run", "--model", "WORD", "--config", SHORT, "--dry-run"),
    ("ab", "--model", "WORD", "--a", "--gen 9", "--b", "--gen 9"),
    ("audit", "--model", "WORD"),
    ("levels", "WORD"),
)
COMMANDS = (*MEASURING, ("models", "WORD"), ("estimate", "WORD", "--on", "rpi5"))


def asked(command, word):
    """The command's arguments for one word."""
    return [word if part == "WORD" else part for part in command]


@pytest.mark.parametrize("word", MEASURED, ids=lambda word: Path(word).name)
def test_a_model_is_found_in_python(word):
    """The same name, and the same count as what is estimated."""
    name, count = MEASURED[word]
    found = find_model(word)
    assert found.measured() is found
    assert found.measured().source.name == name
    assert found.target.name == name
    assert found.target.parameters == found.measured().parameters
    assert count in (None, found.measured().parameters)
    assert found.measured().levels()


@pytest.mark.parametrize("word", MEASURED, ids=lambda word: Path(word).name)
@pytest.mark.parametrize("command", [MEASURING[0], *COMMANDS[3:]], ids=lambda c: c[0])
def test_every_command_understands_it(capsys, word, command):
    assert main(asked(command, word)) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("word", ESTIMATED)
def test_what_cannot_be_measured_is_estimated(capsys, word):
    """Every command that measures says the same; `estimate` and `models` answer."""
    count, way = ESTIMATED[word]
    found = find_model(word)
    assert found.target.parameters == count
    assert harness.estimate(word, "int4", device="rpi5").case.target.parameters == count
    with pytest.raises(UsageError) as caught:
        found.measured()
    said = str(caught.value)
    assert "can be estimated, not measured" in said
    assert f"bench estimate {word}" in said.replace("'", "")
    assert way in said
    for command in MEASURING:
        assert main(asked(command, word)) == 2
        assert capsys.readouterr().err.strip() == f"bench: {said}"
    for command in COMMANDS[4:]:
        assert main(asked(command, word)) == 0
        assert capsys.readouterr().out


@pytest.mark.parametrize("word", UNKNOWN)
def test_an_unknown_word_is_answered_alike(capsys, word):
    """The nearest of all names, in the same two lines, whatever the command."""
    with pytest.raises(UsageError) as caught:
        find_model(word)
    assert repr(word) in caught.value.problem
    assert UNKNOWN[word] in caught.value.fix
    for command in COMMANDS:
        assert main(asked(command, word)) == 2
        assert capsys.readouterr().err.strip() == f"bench: {caught.value}"
    for call in (harness.build, harness.estimate, harness.load):
        keywords = {"device": "rpi5"} if call is harness.estimate else {}
        with pytest.raises(UsageError) as again:
            call(word, level="int4", **keywords)
        assert str(again.value) == str(caught.value)


@pytest.mark.parametrize("word", ["3000", "", "7b-chat", "B"])
def test_a_bare_number_is_no_count(word):
    with pytest.raises(UsageError, match="no model and no folder"):
        find_model(word)


def test_a_folder_of_a_class_that_is_not_built_can_be_counted(tmp_path):
    """What is wrong with it is said when it is to be measured."""
    shutil.copytree(LLAMA, tmp_path / "odd")
    config = tmp_path / "odd" / "config.json"
    text = config.read_text().replace("LlamaForCausalLM", "OddForCausalLM")
    config.write_text(text.replace('"vocab_size": 96', '"vocab_size": 96000'))
    found = find_model(tmp_path / "odd")
    assert "Llama" in found.target.notes[0]
    with pytest.raises(ModelError):
        found.measured()


def test_weights_of_something_else_beside_a_graph_are_passed_over(tmp_path):
    """config.json names a class that is built, its safetensors hold no table of its words."""
    shutil.copytree(LLAMA, tmp_path / "odd")
    (tmp_path / "odd" / "onnx").mkdir()
    shutil.copy(EXPORTS / "optimum/llama-past/model.onnx", tmp_path / "odd" / "onnx" / "model.onnx")
    assert find_model(tmp_path / "odd").facts().get("exporter") is None
    header = b'{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    weights = len(header).to_bytes(8, "little") + header + bytes(4)
    (tmp_path / "odd" / "model.safetensors").write_bytes(weights)
    facts = find_model(tmp_path / "odd").facts()
    assert facts["parameters"] == find_model(EXPORTS / "optimum/llama-past").facts()["parameters"]
    (note,) = [one for one in facts["notes"] if "its graph is measured" in one]
    assert "no table of 96 x" in note


def test_a_config_without_weights_can_be_estimated(tmp_path):
    shutil.copy(LLAMA / "config.json", tmp_path)
    found = find_model(tmp_path)
    assert found.target.structure is not None
    with pytest.raises(UsageError, match=r"no \*\.safetensors"):
        found.measured()


def test_a_name_of_the_hub_is_fetched(tmp_path, monkeypatch):
    """Each file beyond TOLD_BYTES is told as it begins, with what is done of all."""
    monkeypatch.setattr("harness.store.fetch.TOLD_BYTES", 0)
    with running_stub() as stub:
        files = {name: (LLAMA / name).read_bytes() for name in ("config.json", "model.safetensors")}
        stub.files["toys/llama", COMMIT] = files
        hub, said = Hub(endpoint=stub.address, cache=tmp_path / "hub"), []
        found = find_model("hf:toys/llama", tmp_path / "cache", hub, said.append)
    assert found.measured().source.name == "llama"
    assert found.measured().parameters == find_model(LLAMA).measured().parameters
    assert said[0].startswith("fetching toys/llama@")
    files_told = [line for line in said if " MiB done" in line]
    assert len(files_told) == 2
    assert "; 0.0 MiB done" in files_told[0]
    assert files_told[1].endswith(" s left")


def test_aliases_are_counted_as_published():
    assert {"llama-2-7b", "deepseek-r1-distill-qwen-1.5b"} <= {*alias_names()}
    for name in alias_names():
        spec = load_spec(name)
        assert spec.name == name
        if spec.published_parameters is not None:
            assert parameters(spec) == spec.published_parameters + spec.expected_delta
        assert name in known_names()


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Qwen2.5-7B-Instruct", "qwen2.5-7b"),
        ("gemma3:4b", "gemma-3-4b"),
        ("Llama_3.2_1B_Instruct", "llama-3.2-1b"),
        ("mistral-7b-instruct-v0.3", "mistral-7b-v0.3"),
        ("mistral-7b", "mistral-7b-v0.1"),
        ("TinyLlama", "tinyllama-1.1b"),
        ("IndusQ", None),
        ("indus_1b", "indus-1b"),
        ("smollm2-135m", "smollm2-135m"),
        ("./qwen2.5-7b-instruct", None),
        ("bert-base", None),
        ("", None),
    ],
)
def test_names_are_understood_as_people_write_them(written, name):
    """Fine-tunes have the architecture of what they were tuned from; no word is guessed at."""
    assert known_name(written) == name
    if name is None:
        return
    said = []
    assert find_model(written, log=said.append).target.name == name
    assert said == (
        [] if written == name else [f"{written}: taken as {name}, whose architecture it has"]
    )


def test_a_folder_comes_before_a_name_that_is_written_otherwise(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(LLAMA, "Qwen3-0.6B-Instruct")
    assert (
        find_model("Qwen3-0.6B-Instruct").target.parameters == find_model(LLAMA).target.parameters
    )


def test_every_name_is_spelled_in_one_way():
    names = {*catalog_names(), *alias_names()}
    assert {known_name(name) for name in names} == names
    assert {*CUT_SHORT.values()} <= names


def test_a_published_count_is_estimated_and_not_measured():
    """How IndusQ is built was never published: 1.1 billion is what is known."""
    found = find_model("indus-1b")
    assert (found.target.parameters, found.target.structure) == (1_100_000_000, None)
    assert "three counts" in " ".join(found.target.notes)
    with pytest.raises(UsageError, match="published count"):
        found.measured()


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('name = "gpt2"\nparameters = 9', "names two models"),
        ('name = "llama-2-7b"\nparameters = 9', "names two models"),
        ('name = "x"\nparameters = 0', "0 parameters"),
        ('name = "x"\nparameters = "9"', "parameters"),
    ],
)
def test_a_wrong_count_is_refused(tmp_path, row, words):
    path = tmp_path / "counts.toml"
    rest = 'stated = "9"\nhf_id = ""\nlicense = "mit"\nsource = "test"'
    path.write_text(f"[[count]]\n{row}\n{rest}\n")
    with pytest.raises(ModelError, match=words):
        read_counts(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('name = "smollm2-135m"\nlike = "gpt2"', "names two models"),
        ('name = "x"\nlike = "gpt3"', "not in the catalog"),
        ('name = "x"\nlike = "gpt2"\ndiffers = { heads = 3 }', "heads"),
        ('name = "x"\nlike = "gpt2"\ndiffers = { num_layers = 0 }', "num_layers"),
    ],
)
def test_a_wrong_alias_is_refused(tmp_path, text, words):
    path = tmp_path / "aliases.toml"
    rest = 'hf_id = "a/b"\nlicense = "mit"\nsource = "test"\npublished_parameters = 1'
    first, _, last = text.partition("\ndiffers")
    last = f"differs{last}" if last else ""
    path.write_text(f"[[alias]]\n{first}\n{rest}\n{last}\n")
    with pytest.raises(HarnessError, match=words):
        read_aliases(path)
