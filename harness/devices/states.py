"""What can be wrong with a device, each as an error of its own, so that a table can name it."""

from harness.core.errors import DeviceError


class NotInstalledError(DeviceError):
    """The distribution that carries the provider is absent."""

    state = "not installed"


class BrokenProviderError(DeviceError):
    """It is installed, and cannot be loaded."""

    state = "broken"


class NoHardwareError(DeviceError):
    """It is loaded, and finds no device of its own."""

    state = "no hardware"


class FewerDevicesError(NoHardwareError):
    """It finds devices of its own, and not as many as the index asks for."""

    state = "fewer devices"


class FellBackError(DeviceError):
    """It opened a session and did not do the work."""

    state = "fell back"
