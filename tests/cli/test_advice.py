"""What a message advises can be typed, from where the user stands, and gets further.

Every literal of the package that holds a command or a flag is collected, so that new advice is held
too: its commands and flags exist, and what names a model, a dimension or a size is typed here.
"""

import ast
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from harness.cli.main import COMMANDS, main
from harness.core.errors import UsageError
from harness.models.catalog.systems import systems
from harness.runner.models import find_model
from harness.store.hub import HubName, parse_hub_name, typed_name
from tests.builder.graph.seeded_folder import folder_of
from tests.exports import EXPORTS
from tests.models.exported.tiny_graphs import language_model, model, port, saved

ROOT = Path(__file__).resolve().parents[2]
LLAMA = folder_of("llama-tied")
VIT = EXPORTS / "optimum" / "vit"
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")
COMMAND = re.compile(r"\bbench ([a-z][a-z-]*)")
# Words behind `bench` that are no command: it is the subject of a sentence, or `bench --flag`.
SENTENCES = {"has", "is", "knows", "measured", "quantizes", "takes", "that"}
SIZED = re.compile(r"--(?:model|dim|input|img|enc|aud) [^\s,]|bench estimate \{\}")
GLOSSARY = "glossary"  # says what flags do, and advises nothing
OTHERS = ("pip ", "--platform", "-m venv ", "git ", "`ps ", "/--no-{}", "--help", "--version")


def texts(tree: ast.Module) -> Iterator[str]:
    """Texts of a file but for docstrings; `{}` stands for what is filled in."""
    passed = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            passed.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            passed.update(map(id, node.values))
            parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
            yield "".join(map(str, parts))
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in passed
        ):
            yield node.value


@cache
def advised() -> tuple[str, ...]:
    """Every text that holds a command or a flag of ours."""
    files = (path for path in (ROOT / "harness").rglob("*.py") if GLOSSARY not in path.parts)
    every = (text for path in sorted(files) for text in texts(ast.parse(path.read_text("utf-8"))))
    found = (text for text in every if FLAG.search(text) or COMMAND.search(text))
    return tuple(dict.fromkeys(text for text in found if not any(word in text for word in OTHERS)))


@cache
def options(command: str) -> frozenset[str]:
    """Flags of a command, and of the commands under it."""
    module = next(module for name, module, _ in COMMANDS if name == command)
    found = import_module(module).command
    under = getattr(found, "commands", {}).values()  # of a group
    params = [param for one in (found, *under) for param in one.params]
    return frozenset(flag for param in params for flag in (*param.opts, *param.secondary_opts))


def test_every_command_and_flag_of_a_text_exists():
    """A flag behind a command is one of that command; any other is one of some command."""
    names = {name for name, _, _ in COMMANDS}
    every = frozenset().union(*map(options, names)) | {"--help"}
    wrong = []
    for text in advised():
        commands = [name for name in COMMAND.findall(text) if name not in SENTENCES]
        wrong += [(name, text) for name in commands if name not in names]
        wrong += [(flag, text) for flag in FLAG.findall(text) if flag not in every]
        for command, rest in re.findall(r"bench ([a-z][a-z-]*)((?: [^;,.(`\n]+)?)", text):
            if command in names:
                wrong += [(f, text) for f in FLAG.findall(rest) if f not in options(command)]
    assert not wrong


def typed(capsys, *words: str) -> tuple[int, str]:
    """What a command line says on stderr, and its exit code."""
    capsys.readouterr()
    code = main(words)
    return code, capsys.readouterr().err


def advice(text: str, flag: str) -> list[str]:
    """The flag and its value as a shell takes them from a message."""
    text = text.rpartition("try: ")[2]
    words = shlex.split(text[text.index(f"{flag} ") :].splitlines()[0])
    return [flag, words[1].rstrip(",;")]


def run(capsys, *words: str) -> tuple[int, str]:
    return typed(capsys, "run", "--device", "cpu", "--dry-run", *words)


def several_files(tmp_path, capsys):
    """Of a folder whose path has spaces, from two folders above."""
    for name in ("model_q4.onnx", "model_q8.onnx"):
        saved(language_model(), tmp_path / "my models" / "it's" / "onnx", name)
    code, said = run(capsys, "--model", "my models/it's")
    assert code == 2
    assert run(capsys, *advice(said, "--model"))[0] == 0


def beside_a_checkpoint(tmp_path, capsys):
    shutil.copytree(LLAMA, tmp_path / "my models" / "m")
    saved(language_model(), tmp_path / "my models" / "m" / "onnx")
    assert main(["models", "my models/m", "--format", "json"]) == 0
    (note,) = json.loads(capsys.readouterr().out)[0]["notes"]
    assert main(["models", advice(note, "--model")[1], "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["weights"] == "exported"


def open_dimensions(tmp_path, capsys):
    """Names as exporters write them; each size that is advised is the last word on it."""
    shape = ["batch size", "it's", "Max(1, s0)", "a=b", "s0 + 1"]
    node = helper.make_node("Identity", ["x"], ["y"])
    graph = model([node], [port("x", shape)], [port("y", shape)])
    words, seen = ["--model", str(saved(graph, tmp_path / "g"))], []
    while "leaves the dimension" in (said := run(capsys, *words)[1]):
        seen.append(advice(said, "--dim"))
        assert seen.count(seen[-1]) == 1
        words += seen[-1]
    assert [value for _, value in seen] == [f"{name}=1" for name in shape]
    assert run(capsys, *words)[0] == 0


def another_size(tmp_path, capsys):
    """What the problem says to be given is what was given; the way out leaves the test out."""
    words = ("--model", str(VIT), "--dim", "batch_size=2")
    code, said = run(capsys, *words, "--img", "8")
    assert code == 2
    assert "--dim batch_size=2" in said
    assert "leave --img 8 out" in said
    assert run(capsys, *words)[0] == 0


def another_kind(tmp_path, capsys):
    decoder = ("bytelm", "--enc", "16x1", "--prompt 128 --gen 32")
    encoder = ("all-minilm-l6-v2", "--prompt", "16", "--enc 128x1,128x8")
    for name, flag, value, sizes in (decoder, encoder):
        code, said = run(capsys, "--model", name, flag, value)
        assert code == 2
        assert sizes in said or "leave it out" in said
        assert run(capsys, "--model", name, *sizes.split())[0] == 0
        if "--model" in said:
            assert run(capsys, *advice(said, "--model"), flag, value)[0] == 0


def length_of_a_sound(tmp_path, capsys):
    """A second at 16 kHz and nothing else."""
    (tmp_path / "s").mkdir()
    wave = port("input_values", ["batch", 16000])
    node = helper.make_node("ReduceMean", ["input_values"], ["logits"], keepdims=1)
    saved(model([node], [wave], [port("logits", ["batch", 1])]), tmp_path / "s")
    code, said = run(capsys, "--model", "s", "--aud", "3x1")
    assert (code, "--aud 1x1" in said) == (2, True)
    assert run(capsys, "--model", "s", *advice(said, "--aud"))[0] == 0


def a_form_of_sizes(tmp_path, capsys):
    """Of what cannot be read the form is shown; the name is that of the model."""
    ids = port("sr", [], TensorProto.INT64)
    nodes = [
        helper.make_node("Cast", ["sr"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["x", "f"], ["y"]),
    ]
    graph = model(nodes, [port("x", ["batch", 4]), ids], [port("y", ["batch", 4])])
    words = ["--model", str(saved(graph, tmp_path / "g"))]
    for flag in ("--dim", "--input"):
        code, said = run(capsys, *words, flag, "nonsense")
        assert code == 2
        words += advice(said, flag)
    assert run(capsys, *words)[0] == 0


def an_estimate(tmp_path, capsys):
    """Of a word that can be estimated only, which may hold spaces."""
    for word in ("7B", "1.76 trillion", "1조 7600억"):
        code, said = run(capsys, "--model", word)
        assert code == 2
        command = shlex.split(said.partition("try:")[2].replace("DEVICE", "rpi5"))
        assert typed(capsys, *command[1:])[0] == 0


def a_system(tmp_path, capsys):
    """Which is taken for a model of the catalog: one that is built here, or nothing is advised."""
    advised = 0
    for row in systems():
        try:
            find_model(row.key).measured()
        except UsageError as error:
            if "as which it is taken" in error.fix:
                advised += 1
                find_model(advice(error.fix, "--model")[1]).measured()
    assert advised


def without_a_count(tmp_path, capsys):
    """What could run there at all; beside another model, in a format of one table, by itself."""
    code, said = run(capsys, "--model", "sora")
    assert code == 2
    command = shlex.split(said.partition("try:")[2].partition(" says")[0].replace("DEVICE", "m4"))
    assert typed(capsys, *command[1:])[0] == 0
    code, said = typed(capsys, "estimate", "sora,gpt2", "--on", "m4", "--format", "csv")
    assert code == 2
    command = shlex.split(said.partition("try:")[2].replace("DEVICE", "m4"))
    assert typed(capsys, *command[1:])[0] == 0


def of_the_hub(tmp_path, capsys):
    """Nothing is fetched: the name is read as what was meant."""
    for inside in ("", "onnx", "my graphs/model_q4.onnx"):
        name = HubName("org/name", "v1.0", inside)
        assert parse_hub_name(typed_name(name, inside)) == name


# Text -> what types it; None: nothing is to be typed (it says what was, or is an example of a
# help page, which other tests type).
SCENES = {
    "choose one by its file: --model {}": several_files,
    "its weights are those of the checkpoint; the graph beside it: --model {}": beside_a_checkpoint,
    "--dim {}": open_dimensions,
    "--dim {}={}": another_size,
    "--prompt 128 --gen 32 for decoders, or --model all-minilm-l6-v2": another_kind,
    "--enc 128x1,128x8 for encoders, or --model smollm2-135m": another_kind,
    "--aud {}x1, or leave it out": length_of_a_sound,
    "--dim batch=1": a_form_of_sizes,
    "--input sr=16000": a_form_of_sizes,
    "bench estimate {} --on DEVICE": an_estimate,
    "bench estimate {} --on DEVICE says what could run there at all": without_a_count,
    "bench estimate {} --on DEVICE --format {}": without_a_count,
    "or --model {}, as which it is taken": a_system,
    "; its graph: --model {}": of_the_hub,
    "or an export of it: --model FILE.onnx": None,
    "bench run --model with it; decoders and text encoders can be loaded": None,
    "bench run --model measures it with made-up vectors; an export that takes input_ids can be"
    " loaded": None,
    "--aud {}: {} takes sounds of {} seconds, and no others": None,
    "--dim {}: the tests of {} say how large it is": None,
    "--model {} and {} are the same folder": None,
    "--model {} is no model on the hub": None,
    "--model {}, {} MiB at {}": None,  # of the catalog: test_memory_limit.py
    "one .gguf file: --model FILE": None,
    # Of a server, and none is up here.
    "--model with its own name, or the server's name behind the address: URL#NAME;"
    " it lists {}": None,
    "--model with one of: {}": None,
    "--model with a decoder, or --runtime ort": None,
    "{}; --model NAME, or URL#NAME beside a model of ours": None,
    "URL#{} if it is, or --model {} without other runtimes": None,
    # Of a .gguf file, and of the library that asks tasks: neither is installed here.
    "bench run --model {} --threads 1,2 --interleave turns": None,
    "--model smollm2-135m, or another decoder": None,
}


def test_all_advice_that_names_a_size_or_a_model_is_typed():
    """A new one needs a scene, or a word why there is nothing to type."""
    sized = {text for text in advised() if SIZED.search(text) and not text.startswith("Example:")}
    assert sized == {*SCENES}


@pytest.mark.parametrize("scene", dict.fromkeys(filter(None, SCENES.values())))
def test_what_is_advised_gets_further(scene, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scene(tmp_path, capsys)
