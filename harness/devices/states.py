"""What can be wrong with a device, each as an error of its own, so that a table can name it."""

from harness.core.errors import DeviceError
from harness.results.enums import DeviceState


class NotInstalledError(DeviceError):
    """The distribution that carries the provider is absent."""

    state = DeviceState.NOT_INSTALLED


class BrokenProviderError(DeviceError):
    """It is installed, and cannot be loaded."""

    state = DeviceState.BROKEN


class NoHardwareError(DeviceError):
    """It is loaded, and finds no device of its own."""

    state = DeviceState.NO_HARDWARE


class FewerDevicesError(NoHardwareError):
    """It finds devices of its own, and not as many as the index asks for."""

    state = DeviceState.FEWER_DEVICES


class FellBackError(DeviceError):
    """It opened a session and did not do the work."""

    state = DeviceState.FELL_BACK
