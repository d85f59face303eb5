"""Would another runtime measure what it can do here? One finding, told by a child process."""

from collections.abc import Callable, Collection
from importlib.util import find_spec

from harness.core.errors import HarnessError, WorkerError
from harness.core.findings import OK, WARNING, Finding
from harness.machine.process.worker import Worker
from harness.results.replies import LibraryFacts
from harness.runner.loop.held_against import ILLEGAL, REBUILD
from harness.runner.plan.runtimes import LLAMA, RUNTIMES, WORKERS

# Instructions that its products of 8 and 4 bits are written for: Linux's word -> the library's.
# AMX is none of them: virtual machines announce it and do not run it.
PRODUCTS = {
    "avx2": "AVX2",
    "fma": "FMA",
    "avx512f": "AVX512",
    "avx512_vnni": "AVX512_VNNI",
    "asimddp": "DOTPROD",
    "i8mm": "MATMUL_INT8",
}
CHECK = LLAMA
ASK_TIMEOUT_S = 60.0


def check_llamacpp(
    extensions: Collection[str] | None,
    ask: Callable[[], LibraryFacts] | None = None,
) -> list[Finding]:
    """Hold what the library was built for against the processor.

    Args:
        extensions: of the processor, by Linux's words; None: not known.
        ask: for the library's facts; None: a child process.
    """
    runtime = RUNTIMES[LLAMA]
    if ask is None and any(find_spec(module) is None for module in runtime.modules):
        return [Finding(CHECK, OK, f"not installed; {runtime.install}")]
    try:
        found = (ask or _ask)()
    except HarnessError as error:
        illegal = isinstance(error, WorkerError) and ILLEGAL in error.problem
        return [Finding(CHECK, WARNING, error.problem, REBUILD if illegal else error.fix)]
    missing = [
        word
        for word, theirs in PRODUCTS.items()
        if word in (extensions or ()) and theirs not in found.instructions
    ]
    detail = f"llama-cpp-python {found.version}, built for {' '.join(found.instructions)}"
    if not missing:
        return [Finding(CHECK, OK, detail)]
    lacks = f"{detail}; this processor also has {' '.join(missing)}"
    fix = "build it here: pip install --force-reinstall --no-binary :all: llama-cpp-python"
    return [Finding(CHECK, WARNING, lacks, fix)]


def _ask() -> LibraryFacts:
    """Ask a child: loading a library that was built for another processor may kill it."""
    with Worker.start(WORKERS[LLAMA]) as worker:
        return worker.ask("library", ASK_TIMEOUT_S, LibraryFacts)
