"""What is said once of the package, by the metadata of what is installed: version, dependencies."""

from pathlib import Path

DISTRIBUTION = "ondevice-bench"
NOT_INSTALLED = "not installed"


def installed_version() -> str:
    """Return the version of the installed distribution; `not installed` of a bare checkout."""
    from importlib import metadata  # here: most of what imports the package never asks

    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return NOT_INSTALLED


def dependencies() -> list[str]:
    """Return what this package depends on, without its extras: of its metadata, or the checkout."""
    from importlib import metadata

    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        import tomllib

        project = Path(__file__).resolve().parents[2] / "pyproject.toml"
        lines = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
    return [line for line in lines if "extra ==" not in line]
