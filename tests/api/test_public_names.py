"""What `import harness` offers, and what it does not load."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import harness
from harness.core import errors
from harness.core.version import NOT_INSTALLED, installed_version

ROOT = Path(__file__).resolve().parents[2]
LIGHT = """
import sys
import harness
for name in harness.__all__:
    if not name.startswith("Loaded"):
        getattr(harness, name)
print(*sorted({"numpy", "onnx", "onnxruntime"} & sys.modules.keys()))
"""


@pytest.mark.parametrize("name", [name for name in harness.__all__ if name != "__version__"])
def test_every_public_name_is_there_and_says_what_it_is(name):
    assert getattr(harness, name).__doc__.strip()
    assert name in dir(harness)


def test_every_error_is_public():
    """Whoever catches one needs its name."""
    named = {name for name, value in vars(errors).items() if _is_error(value)}
    assert named <= set(harness.__all__)


def test_public_names_load_neither_numpy_nor_a_runtime():
    """Only the two classes of loaded models need them."""
    done = subprocess.run(
        [sys.executable, "-c", LIGHT], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'measure'"):
        harness.measure  # noqa: B018


def test_the_version_is_that_of_the_installed_distribution(monkeypatch):
    assert harness.__version__ == installed_version()

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert harness.__version__ == NOT_INSTALLED


def _is_error(value):
    return isinstance(value, type) and issubclass(value, Exception)
