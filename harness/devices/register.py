"""Providers brought into this process: each library once, for a second time would crash later."""

import os
import threading
from collections.abc import Callable
from glob import glob
from importlib import import_module
from pathlib import Path

import onnxruntime as ort

from harness.core.environment import all_variables, set_variable
from harness.devices.device import Device
from harness.devices.row import ProviderRow, Registration
from harness.devices.states import BrokenProviderError, NotInstalledError

# A library that is registered again raises, and its next session crashes the process: what was
# tried once is never tried again. Provider -> why it failed; None: it is there.
_TRIED: dict[str, BrokenProviderError | None] = {}
_LOCK = threading.Lock()
_KEPT: list[object] = []  # closing the catalog of Windows ML has crashed: it lives on


def bring_in(device: Device) -> None:
    """Set up the environment of a device and make its provider known to this process.

    Raises:
        NotInstalledError: its distribution, or this build of onnxruntime, does not have it.
        BrokenProviderError: its library cannot be loaded.
    """
    set_environment(device)
    if device.row.registration is Registration.BUILT_IN:
        _refuse_absent(device.row)
    else:
        _register_once(device.row)


def set_environment(device: Device) -> None:
    """Set the variables of a simulation, or take exactly those away where none is wanted."""
    if device.row.simulation is None:
        return
    for name, pattern in device.row.simulation.environment:
        value = os.pathsep.join(sorted(glob(pattern))) if "*" in pattern else pattern  # noqa: PTH207
        if device.simulate and value:
            set_variable(name, value)
        elif all_variables().get(name) == value:
            set_variable(name, None)


def _refuse_absent(row: ProviderRow) -> None:
    """An absent provider would be replaced by the CPU with a warning at most."""
    available = ort.get_available_providers()
    if row.provider not in available:
        raise NotInstalledError(
            f"{row.key} needs {row.provider}; this onnxruntime has {', '.join(available)}",
            fix=row.install,
        )


def _register_once(row: ProviderRow) -> None:
    """Register the library of a plugin, unless this process has tried before."""
    with _LOCK:
        if row.provider not in _TRIED:
            library = LIBRARIES[row.registration](row)
            try:
                ort.register_execution_provider_library(row.provider, str(library))
            except Exception as error:  # ONNX Runtime's errors share no class of their own
                text = str(error).replace(f"{library.parent}{os.sep}", "")
                _TRIED[row.provider] = BrokenProviderError(
                    f"{row.key}: the library {library.name} cannot be registered: {text}",
                    fix=f"pip install --force-reinstall {row.wheel}",
                )
            else:
                _TRIED[row.provider] = None
        failed = _TRIED[row.provider]
    if failed is not None:
        raise failed


def _plugin_library(row: ProviderRow) -> Path:
    """The library inside a plugin's own Python package."""
    package = _import(row)
    try:
        return Path(package.get_library_path())  # type: ignore[attr-defined]
    except Exception as error:  # code of others: anything may happen
        raise BrokenProviderError(
            f"{row.key}: {row.module} does not say where its library is: {error}",
            fix=f"pip install --force-reinstall {row.wheel}",
        ) from error


def _catalog_library(row: ProviderRow) -> Path:
    """The library that Windows ML keeps, fetched by the system if it has to be."""
    catalog = _import(row).EpCatalog()  # type: ignore[attr-defined]
    _KEPT.append(catalog)
    for provider in catalog.find_all_providers():
        if provider.name == row.provider:
            provider.ensure_ready()
            return Path(provider.library_path)
    raise NotInstalledError(
        f"{row.key}: the catalog of Windows ML offers no {row.provider} on this machine",
        fix="install the newest driver and run Windows Update, or use another row",
    )


def _import(row: ProviderRow) -> object:
    """The Python package of a plugin."""
    assert row.module is not None
    try:
        return import_module(row.module)
    except ModuleNotFoundError as error:
        if error.name != row.module:
            raise BrokenProviderError(
                f"{row.key}: {row.module} needs {error.name}", fix=f"pip install {error.name}"
            ) from error
        raise NotInstalledError(f"{row.key}: {row.wheel} is not installed", row.install) from error
    except Exception as error:  # code of others: anything may happen
        raise BrokenProviderError(
            f"{row.key}: {row.module} cannot be imported: {error}",
            fix=f"pip install --force-reinstall {row.wheel}",
        ) from error


LIBRARIES: dict[Registration, Callable[[ProviderRow], Path]] = {
    Registration.PLUGIN: _plugin_library,
    Registration.CATALOG: _catalog_library,
}
