"""What `bench doctor` says of llama.cpp: absent, sound, built for less, or dead."""

import pytest

from harness.core.errors import WorkerError
from harness.core.findings import OK, WARNING
from harness.results.replies import LibraryFacts
from harness.runner import doctor
from harness.runner.doctor import check_llamacpp

FULL = ("SSE3", "AVX2", "FMA", "AVX512", "AVX512_VNNI")


def told(*instructions):
    return lambda: LibraryFacts(version="0.3.36", instructions=instructions)


def test_what_is_not_installed_is_no_fault(monkeypatch):
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    (found,) = check_llamacpp(("avx2",))
    assert (found.state, found.fix) == (OK, None)
    assert "pip install 'ondevice-bench[llamacpp]'" in found.detail


@pytest.mark.parametrize("extensions", [("avx2", "fma", "avx512_vnni", "amx_int8"), (), None])
def test_a_library_for_this_processor_is_sound(extensions):
    """AMX is not missed: a virtual machine may announce it and not run it."""
    (found,) = check_llamacpp(extensions, told(*FULL))
    assert found.state == OK
    assert found.detail == f"llama-cpp-python 0.3.36, built for {' '.join(FULL)}"


def test_a_library_for_an_older_processor_is_a_warning():
    (found,) = check_llamacpp(("avx2", "avx512f", "avx512_vnni"), told("SSE3", "AVX2"))
    assert found.state == WARNING
    assert found.detail.endswith("this processor also has avx512f avx512_vnni")
    assert "--no-binary" in found.fix


def test_a_library_for_another_processor_is_told_from_its_death():
    def dies():
        raise WorkerError("the worker died: SIGILL", fix="run it alone")

    (found,) = check_llamacpp(("avx2",), dies)
    assert (found.state, "GGML_NATIVE=OFF" in found.fix) == (WARNING, True)
