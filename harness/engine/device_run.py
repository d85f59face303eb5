"""Runs of micro-graphs whose inputs, outputs and states stay in a device's memory.

Every run copies two small inputs to the device and one small output from it, as a decoder's step
does: the output proves that the run has ended.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from harness.builder.graph.micro_device import DONE, FED
from harness.devices.device import SentDevice, find_device
from harness.devices.session import OpenedSession, open_session

Arrays = Mapping[str, NDArray[Any]]


class DeviceRuns:
    """One device, and graphs opened on it."""

    def __init__(self, folder: str, device: SentDevice, threads: int) -> None:
        """Take the device; nothing is opened yet.

        Args:
            folder: of the graphs.
            device: as it travelled.
            threads: of the sessions, on the host.
        """
        self._folder = Path(folder)
        self._device = replace(find_device(device), parallel_prepack=True)
        self._threads = threads

    def open(self, graph: str) -> OpenedSession:
        """Open a micro-graph by its name."""
        return open_session(self._folder / f"{graph}.onnx", self._device, self._threads)

    def place(self, array: NDArray[Any]) -> ort.OrtValue:
        """Copy an array to the device's memory; the host's where Python reaches no other."""
        memory = self._device.row.memory
        where = () if memory is None else (memory, self._device.index)
        return ort.OrtValue.ortvalue_from_numpy(array, *where)

    def bound(
        self, opened: OpenedSession, inputs: Arrays, outputs: Arrays, in_place: Arrays | None = None
    ) -> Callable[[], object]:
        """Return a run: all of it in the device's memory, but what is fed and what proves the end.

        Args:
            opened: a graph that proves its end.
            inputs: by name, copied once.
            outputs: by name; only their shapes matter.
            in_place: states by the rest of their names behind `past.` and `present.`.
        """
        session, binding = opened.session, opened.session.io_binding()
        ports = {port.name: port for port in session.get_inputs()}
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
        for name, array in outputs.items():
            binding.bind_ortvalue_output(name, self.place(array))
        for name, array in (in_place or {}).items():
            state = self.place(array)
            binding.bind_ortvalue_input(f"past.{name}", state)
            binding.bind_ortvalue_output(f"present.{name}", state)
        dtype = "float16" if "float16" in ports[FED[0]].type else "float32"
        fed = ort.OrtValue.ortvalue_from_numpy(np.zeros((1, 1), dtype))
        (width,) = [port.shape[-1] for port in session.get_outputs() if port.name == DONE]
        shape = (1, 1) if width == 1 else (1, 1, width)
        done = ort.OrtValue.ortvalue_from_numpy(np.empty(shape, dtype))
        binding.bind_ortvalue_output(DONE, done)

        def run() -> object:
            for name in FED:
                binding.bind_ortvalue_input(name, fed)
            session.run_with_iobinding(binding)
            return done

        return run
