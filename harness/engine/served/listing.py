"""Which server listens at an address, and which models it has: asked before anything is planned."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness.core.addresses import Address
from harness.core.errors import DeviceError, HarnessError, MeasurementError, WorkerError
from harness.engine.served.wire import RefusedError, Wire
from harness.models.served import UNTOLD, Listed, Server

LISTING_S = 10.0  # a list of models needs no model
BASES = ("/v1", "/api/v1")  # of OpenAI's API; the second is lemonade's
OLLAMA, LLAMA_SERVER, OPENAI = "ollama", "llama-server", "openai"
# `owned_by` of listed models -> the kind of server that writes so.
OWNERS = {
    "llamacpp": LLAMA_SERVER,
    "me": "llama-cpp-python",
    "lemonade": "lemonade",
    "microsoft": "foundry-local",
    "vllm": "vllm",
}
# How files of models are mostly called: qwen2.5-0.5b-instruct-q4_k_m.gguf, tiny-f16.gguf.
LEVEL = re.compile(r"(?i)(?:^|[-_.:])((?:i?q[2-8]_[0-9a-z]+(?:_[a-z]+)?)|bf16|f16|f32)(?=$|\.gguf)")


def ask_server(address: Address) -> Server:
    """Find out what listens at an address.

    Args:
        address: without the name of a model.

    Raises:
        DeviceError: nobody does, or something else than a server of models.
    """
    try:
        return _found(Wire(address, silent_s=LISTING_S))
    except DeviceError:
        raise
    except (MeasurementError, WorkerError) as error:
        raise DeviceError(error.problem, fix=error.fix) from error


def _found(wire: Wire) -> Server:
    """The server: of OpenAI's API where its owner is known, else Ollama, else of that API."""
    openai, why = _openai(wire)
    if openai is not None and openai.kind not in (OPENAI, OLLAMA):
        return openai
    ollama = _ollama(wire)
    found = ollama or openai
    if found is None:
        raise why or MeasurementError("unreachable", fix="")
    return found


def _openai(wire: Wire) -> tuple[Server | None, HarnessError | None]:
    """What lists models as OpenAI's API does; and why not."""
    path, why = wire.address.path, None
    bases = (path,) if path.endswith("/v1") else tuple(f"{path}{base}" for base in BASES)
    for base in bases:
        try:
            answer = wire.get(f"{base}/models")
        except (RefusedError, MeasurementError) as error:
            why = why or error
            continue
        rows = _table(answer).get("data")
        if not isinstance(rows, list):
            why = why or MeasurementError(
                f"{wire.address.told} lists no models at {base}/models",
                fix="the address of its API, such as http://localhost:8080/v1",
            )
            continue
        listed = [row for row in rows if isinstance(row, dict) and row.get("id")]
        owners = (OWNERS.get(str(row.get("owned_by") or "").casefold()) for row in listed)
        kind = next((owner for owner in owners if owner), OPENAI)
        version = _build(wire) if kind == LLAMA_SERVER else None
        models = tuple(_listed(str(row["id"]), row) for row in listed)
        return Server(replace(wire.address, model=""), kind, version, base, models), None
    return None, why


def _listed(name: str, row: Mapping[str, Any]) -> Listed:
    """A model of OpenAI's list; llama-server says more in `meta`."""
    meta = _table(row.get("meta"))
    short = name.replace("\\", "/").rpartition("/")[2]
    return Listed(name, _above_0(meta.get("n_params")), _level(short), _above_0(meta.get("size")))


def _build(wire: Wire) -> str | None:
    """The build that llama-server tells."""
    try:
        answer = wire.get("/props")
    except HarnessError:
        return None
    build = _table(answer).get("build_info")
    return build if isinstance(build, str) else None


def _ollama(wire: Wire) -> Server | None:
    """Ollama, by its own API; None: it is none."""
    if wire.address.path not in ("", "/v1", "/api"):
        return None
    try:
        version, answer = wire.get("/api/version"), wire.get("/api/tags")
    except (RefusedError, MeasurementError):
        return None
    rows, told = _table(answer).get("models"), _table(version).get("version")
    if not isinstance(rows, list):
        return None
    models = tuple(_tagged(row) for row in rows if isinstance(row, dict) and row.get("name"))
    address = replace(wire.address, model="", path="")
    return Server(address, OLLAMA, told if isinstance(told, str) else None, "", models)


def _tagged(row: Mapping[str, Any]) -> Listed:
    """A model of Ollama's list."""
    level = str(_table(row.get("details")).get("quantization_level") or "").casefold()
    return Listed(str(row["name"]), None, level or UNTOLD, _above_0(row.get("size")))


def described(server: Server, listed: Listed) -> Listed:
    """A model with its parameters, where the server tells them when asked for that model."""
    if server.kind != OLLAMA or listed.parameters is not None:
        return listed
    try:
        answer = Wire(server.address, silent_s=LISTING_S).ask("/api/show", {"model": listed.name})
    except HarnessError:
        return listed
    count = _table(_table(answer).get("model_info")).get("general.parameter_count")
    return replace(listed, parameters=_above_0(count))


def _level(name: str) -> str:
    """The level that the name of a file ends with; UNTOLD: none."""
    found = LEVEL.search(name)
    return found.group(1).casefold() if found else UNTOLD


def _table(value: object) -> Mapping[str, Any]:
    """An object of JSON; anything else is an empty one."""
    return value if isinstance(value, dict) else {}


def _above_0(value: object) -> int | None:
    """A count from 1 on."""
    return value if isinstance(value, int) and value > 0 and value is not True else None
