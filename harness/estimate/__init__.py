"""What parameters and structure predict; pure functions over frozen records.

The package is also the public function of its name: `harness.estimate("llama-3.2-1b", "int4",
device="rpi5")` is `harness.estimate.answer.estimate`.
"""

import sys
from types import ModuleType
from typing import Any


class _CallableModule(ModuleType):
    """A module that can be called, because a room and a public function share one name."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Estimate a model on a device; see harness.estimate.answer.estimate."""
        from harness.estimate.answer import estimate

        return estimate(*arguments, **options)


sys.modules[__name__].__class__ = _CallableModule
