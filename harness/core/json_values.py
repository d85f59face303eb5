"""Typed reading of a Hugging Face config.json: a wrong type is an error that names its key."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.core.errors import ModelError


@dataclass(frozen=True, slots=True)
class JsonValues:
    """A JSON object and the file it came from; every getter raises ModelError on a wrong type.

    Attributes:
        values: the decoded object.
        where: named in every error, such as `my-model/config.json`.
    """

    values: Mapping[str, Any]
    where: str

    def has(self, key: str) -> bool:
        """Whether the key is there and not null."""
        return self.values.get(key) is not None

    def integer(self, key: str, default: int | None = None) -> int:
        """Return a whole number; `default` stands for a missing or null key."""
        value = self._value(key, default)
        if type(value) is not int:
            raise self._wrong(key, value, "a whole number")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """Return a number as a float; `default` stands for a missing or null key."""
        value = self._value(key, default)
        if type(value) not in (int, float):
            raise self._wrong(key, value, "a number")
        return float(value)

    def flag(self, key: str, default: bool = False) -> bool:
        """Return true or false; `default` stands for a missing or null key."""
        value = self._value(key, default)
        if type(value) is not bool:
            raise self._wrong(key, value, "true or false")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """Return a string; `default` stands for a missing or null key."""
        value = self._value(key, default)
        if type(value) is not str:
            raise self._wrong(key, value, "a string")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of strings; empty for a missing or null key."""
        value = self.values.get(key)
        if value is None:
            return ()
        if type(value) is not list or any(type(item) is not str for item in value):
            raise self._wrong(key, value, "a list of strings")
        return tuple(value)

    def numbers(self, key: str) -> tuple[float, ...]:
        """Return a list of numbers as floats; a missing or null key is asked for."""
        value = self._value(key, None)
        if type(value) is not list or any(type(item) not in (int, float) for item in value):
            raise self._wrong(key, value, "a list of numbers")
        return tuple(float(item) for item in value)

    def table(self, key: str) -> "JsonValues | None":
        """Return a nested object, or None for a missing or null key."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise self._wrong(key, value, "an object")
        return JsonValues(value, f"{self.where} {key}")

    def unsupported(self, problem: str, supported: str) -> ModelError:
        """Return the error for a feature that this version cannot build."""
        return ModelError(f"{self.where}: {problem}", fix=f"supported: {supported}")

    def _value(self, key: str, default: object) -> Any:
        """Return the value, or `default` for a missing or null one, or raise when both lack."""
        value = self.values.get(key)
        if value is not None:
            return value
        if default is None:
            raise ModelError(
                f"{self.where}: {key} is missing",
                fix="copy the whole config.json of the model, as its makers published it",
            )
        return default

    def _wrong(self, key: str, value: object, wanted: str) -> ModelError:
        """Return the error for a value of another type, its text cut to one short line."""
        return ModelError(
            f"{self.where}: {key} is {repr(value)[:60]}", fix=f"{key} must be {wanted}"
        )
