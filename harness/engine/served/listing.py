"""Which server listens at an address, and which models it has: asked before anything is planned."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness.core.addresses import Address
from harness.core.errors import DeviceError, HarnessError, MeasurementError, WorkerError
from harness.engine.served.wire import RefusedError, Wire
from harness.models.served import UNTOLD, Listed, Server, short_name

LISTING_S, WHOLE_LIST_S = 10.0, 30.0  # a list of models needs no model
BASES = ("/v1", "/api/v1", "/v3")  # of OpenAI's API; lemonade's, OpenVINO's first
VERSIONED = re.compile(r"/v\d+$")  # an address with its base in it
OLLAMA, LLAMA_SERVER, OPENAI = "ollama", "llama-server", "openai"
# `owned_by` of listed models -> the kind of server that writes so.
OWNERS = {
    "llamacpp": LLAMA_SERVER,
    "me": "llama-cpp-python",
    "lemonade": "lemonade",
    "organization_owner": "lm-studio",
    "ovms": "openvino-model-server",
    "sglang": "sglang",
    "microsoft": "foundry-local",
    "vllm": "vllm",
}
LONGEST_NAME, MOST = 256, 1 << 60
WORD = re.compile(r"[\w.+-]{1,64}", re.ASCII)  # a version, a level
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
        return _found(_wire(address))
    except DeviceError:
        raise
    except (MeasurementError, WorkerError) as error:
        raise DeviceError(error.problem, fix=error.fix) from error


def _wire(address: Address) -> Wire:
    """For what needs no model: nobody ends the process that waits for it."""
    return Wire(address, silent_s=LISTING_S, whole_s=WHOLE_LIST_S)


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
    bases = (path,) if VERSIONED.search(path) else tuple(f"{path}{base}" for base in BASES)
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
        listed = [row for row in rows if _is_name(_table(row).get("id"))]
        owners = (OWNERS.get(str(row.get("owned_by") or "").casefold()) for row in listed)
        kind = next((owner for owner in owners if owner), OPENAI)
        version = _build(wire) if kind == LLAMA_SERVER else None
        models = tuple(_listed(row["id"], row) for row in listed)
        return Server(replace(wire.address, model=""), kind, version, base, models), None
    return None, why


def _listed(name: str, row: Mapping[str, Any]) -> Listed:
    """A model of OpenAI's list; llama-server says more in `meta`."""
    meta = _table(row.get("meta"))
    level = _level(short_name(name))
    return Listed(name, _above_0(meta.get("n_params")), level, _above_0(meta.get("size")))


def _build(wire: Wire) -> str | None:
    """The build that llama-server tells."""
    try:
        answer = wire.get("/props")
    except HarnessError:
        return None
    return _version(_table(answer).get("build_info"))


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
    models = tuple(_tagged(row) for row in rows if _is_name(_table(row).get("name")))
    address = replace(wire.address, model="", path="")
    return Server(address, OLLAMA, _version(told), "", models)


def _tagged(row: Mapping[str, Any]) -> Listed:
    """A model of Ollama's list."""
    told = str(_table(row.get("details")).get("quantization_level") or "").casefold()
    level = told if WORD.fullmatch(told) else UNTOLD
    return Listed(row["name"], None, level, _above_0(row.get("size")))


def described(server: Server, listed: Listed) -> Listed:
    """A model with its parameters, where the server tells them when asked for that model."""
    if server.kind != OLLAMA or listed.parameters is not None:
        return listed
    try:
        answer = _wire(server.address).ask("/api/show", {"model": listed.name})
    except HarnessError:
        return listed
    count = _table(_table(answer).get("model_info")).get("general.parameter_count")
    return replace(listed, parameters=_above_0(count))


def _level(name: str) -> str:
    """The level that the name of a file ends with; UNTOLD: none."""
    found = LEVEL.search(name)
    return found.group(1).casefold() if found else UNTOLD


def _is_name(value: object) -> bool:
    """Whether a model can be called so: what a terminal does not show cannot be typed either."""
    return isinstance(value, str) and 0 < len(value) <= LONGEST_NAME and value.isprintable()


def _version(value: object) -> str | None:
    """What a server says of its build, where it is a word."""
    return value if isinstance(value, str) and WORD.fullmatch(value) else None


def _table(value: object) -> Mapping[str, Any]:
    """An object of JSON; anything else is an empty one."""
    return value if isinstance(value, dict) else {}


def _above_0(value: object) -> int | None:
    """A count from 1 on; one beyond all models is none."""
    is_count = isinstance(value, int) and value is not True and 0 < value < MOST
    return value if is_count else None  # type: ignore[return-value]
