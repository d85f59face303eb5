"""dask.distributed as it is used here: loaded where used, silent, and without what watches workers.

A worker stands beside a measurement. What dask does there by itself, from a look at every thread
each 10 ms to questions to a GPU's driver, is switched off before a worker is made, or told to come
rarely. No dashboard and no HTTP server is opened.
"""

import logging
from types import ModuleType

from harness.core.errors import DeviceError

INSTALL = "pip install 'ondevice-bench[fleet]'"
# Keys of dask's configuration -> values; each as dask 2026.8 has it, with what it has there.
QUIET: dict[str, object] = {
    "distributed.worker.profile.enabled": False,  # looks at every thread each 10 ms
    "distributed.admin.tick.interval": "10s",  # 20 ms
    "distributed.admin.tick.limit": "1h",  # a warning whenever the loop was late by 3 s
    "distributed.admin.tick.cycle": "1h",  # 1 s
    "distributed.admin.system-monitor.interval": "60s",  # 500 ms
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.admin.system-monitor.disk": False,
    "distributed.diagnostics.nvml": False,  # opens the driver of NVIDIA GPUs
    "distributed.worker.http.routes": [],
    "distributed.worker.memory.monitor-interval": "60s",  # 100 ms
    "distributed.comm.timeouts.connect": "10s",
    "distributed.comm.timeouts.tcp": "30s",
}
SILENT = logging.CRITICAL + 1  # what matters is said by us, once
LOGGERS = ("distributed", "tornado", "asyncio")


def load_engine() -> ModuleType:
    """Import dask.distributed, silent and without what would disturb a measurement.

    Raises:
        DeviceError: it is not installed.
    """
    try:
        import dask

        dask.config.set(QUIET)
        import distributed
    except ImportError as error:
        raise DeviceError(f"a fleet needs dask.distributed ({error.name})", INSTALL) from error
    dask.config.set(QUIET)  # importing it has put its own defaults under ours
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in LOGGERS:
            logging.getLogger(name).setLevel(SILENT)
    module: ModuleType = distributed
    return module
