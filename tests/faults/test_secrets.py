"""Fault: a model file, or a library that reads it, looks for keys in its process.

What must remain true: no child process has a token, a key or a password of the user, and no file
that is kept has one either; who fetches keeps the hub's, and who asks a server has that server's.
"""

import ast
import re
from pathlib import Path

import pytest

import harness
from harness.core.withheld import holds_secret
from harness.machine.process.worker import ENTRUSTED, Worker, _environment
from harness.runner.loop.parts import without_folders
from harness.runner.plan.runtimes import SERVER_WORKER, WORKERS
from harness.store.cache import BUILD_MODULE
from harness.store.exported import EXPORTED_MODULE

PACKAGE = Path(harness.__file__).parent
SECRETS = {
    "HF_TOKEN": "hf_1",
    "HUGGING_FACE_HUB_TOKEN": "hf_1",
    "OPENAI_API_KEY": "sk-1",
    "BENCH_API_KEY": "sk-2",
    "MY_SERVICE_KEYS": "1,2",
    "DB_SECRET": "x",
    "PGPASSWORD": "x",
    "MYSQL_PWD": "x",
    "npm_config__auth": "x",
    "AWS_PROFILE": "work",
    "AWS_ACCESS_KEY_ID": "x",
    "GOOGLE_APPLICATION_CREDENTIALS": "/keys/a.json",
    "GITHUB_TOKEN": "ghp_1",
    "ACTIONS_ID_TOKEN_REQUEST_URL": "https://one.example.org",
    "CI_JOB_JWT_V2": "x",
    "SSH_AUTH_SOCK": "/run/agent",
    "PIP_INDEX_URL": "https://jane:pass@pypi.example.org/simple",
    "DATABASE_URL": "postgres://jane:pass@db/x",
}
PLAIN = {
    "PATH": "/usr/bin",
    "PWD": "/work",
    "HOME": "/home/jane",
    "LD_LIBRARY_PATH": "/usr/lib",
    "CUDA_VISIBLE_DEVICES": "0",
    "OMP_NUM_THREADS": "2",
    "KMP_AFFINITY": "compact",
    "TOKENIZERS_PARALLELISM": "false",
    "TOKENISERS": "2",
    "HF_HOME": "/data",
    "HF_ENDPOINT": "https://hub.example.org:8080/a@b",
    "VK_ICD_FILENAMES": "lvp.json",
    "ORT_DISABLE_TELEMETRY": "1",
    "GITHUB_SHA": "1a2b",
    "DISPLAY": ":0",
    "LC_ALL": "C",
}


def test_a_rule_tells_secrets_by_name_and_by_value():
    assert [name for name, value in SECRETS.items() if not holds_secret(name, value)] == []
    assert [name for name, value in PLAIN.items() if holds_secret(name, value)] == []


def test_a_child_process_has_no_secret_of_its_parent(monkeypatch):
    for name, value in {**SECRETS, **PLAIN}.items():
        monkeypatch.setenv(name, value)
    with Worker.start("tests.machine.process.faulty_worker") as worker:
        names = set(worker.ask("variables", 60.0, list[str]))
    assert names.isdisjoint(SECRETS)
    assert names >= set(PLAIN)


@pytest.mark.parametrize(
    "module", [BUILD_MODULE, EXPORTED_MODULE, SERVER_WORKER, *WORKERS.values()]
)
def test_only_who_asks_a_server_has_its_key(monkeypatch, module):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    found = _environment(module, {"ONE": "1"}, own_interpreter=True)
    assert SECRETS.keys() & found == ({"BENCH_API_KEY"} if module == SERVER_WORKER else set())
    assert found["ONE"] == "1"
    assert set(ENTRUSTED) == {SERVER_WORKER}


def test_what_a_user_sets_for_one_side_is_set_there(monkeypatch):
    """`bench ab --a "HF_TOKEN=..."` is a wish, and stands in no file."""
    found = _environment(BUILD_MODULE, {"HF_TOKEN": "hf_2"}, own_interpreter=True)
    assert found["HF_TOKEN"] == "hf_2"
    words = "HF_TOKEN=hf_2 DB_PASSWORD='two words' OMP_NUM_THREADS=2 --quant int4"
    assert without_folders(words) == "HF_TOKEN=... DB_PASSWORD=... OMP_NUM_THREADS=2 --quant int4"


def test_every_process_that_is_started_is_given_its_environment():
    """One that is not named inherits all of ours, secrets too."""
    inherits = []
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if not re.search(r"subprocess|os\.(system|spawn|popen)", text):
            continue
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            starts = ast.unparse(node.func) in ("subprocess.run", "subprocess.Popen", "os.system")
            starts |= node.func.attr in ("check_output", "check_call", "getoutput", "spawnv")
            if starts and "env" not in {word.arg for word in node.keywords}:
                inherits.append(f"{path.name}:{node.lineno}")
    assert inherits == []
