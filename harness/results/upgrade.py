"""Old results documents, brought to the newest format one step at a time."""

from collections.abc import Callable, Mapping

from harness.core.errors import ResultFormatError
from harness.results.schema import SCHEMA_VERSION, Json

# version -> the step to the next one. The history stands at SCHEMA_VERSION.
UPGRADES: dict[int, Callable[[Json], Json]] = {}


def upgrade(
    document: Json,
    steps: Mapping[int, Callable[[Json], Json]] = UPGRADES,
    newest: int = SCHEMA_VERSION,
) -> Json:
    """Return `document` in the newest format; the stored one is left as it was.

    Args:
        document: as it was read.
        steps: version -> function to the next version.
        newest: the version to end at.

    Raises:
        ResultFormatError: no version, a newer one, or a step that meets a damaged document.
    """
    version = document.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ResultFormatError(f"its format version is {version!r}", fix="give a file of `bench`")
    if version > newest:
        raise ResultFormatError(
            f"its format {version} is newer than {newest}", fix="upgrade the harness that reads it"
        )
    for step in range(version, newest):
        try:
            document = {**steps[step](document), "schema_version": step + 1}
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise ResultFormatError(
                f"it is damaged: format {step} cannot be brought to {step + 1}: {error!r}",
                fix="take the file from where it was first written",
            ) from error
    return document
