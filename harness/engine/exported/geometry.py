"""An exported model and what was decided about running it: what travels to the measuring worker."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.models.exported.model import ExportedKind, ExportedModel, Role, from_json, to_json

Json = dict[str, Any]
SOURCE_TOKENS = 128  # of the text that an encoder-decoder's steps look at
DEFAULT_PIXELS = 224  # a side of an image, where neither file nor configuration says
CHANNELS = 3
DECODERS = (ExportedKind.DECODER, ExportedKind.DECODER_WITHOUT_PAST, ExportedKind.ENCODER_DECODER)
TEXT_ENCODERS = (ExportedKind.ENCODER, ExportedKind.EMBEDDING)


@dataclass(frozen=True, slots=True)
class ExportedGeometry:
    """A recognised model as it is to be run.

    Attributes:
        model: as recognised.
        dims: free dimensions by name -> size, as the user gave them.
    """

    model: ExportedModel
    dims: tuple[tuple[str, int], ...] = ()

    @property
    def vocab_size(self) -> int:
        """One more than the largest token id; 1 where nothing says: token 0 is always there."""
        return self.model.vocab_size or 1

    @property
    def max_context_tokens(self) -> int | None:
        """Longest sequence; None: nothing says so."""
        return self.model.max_context_tokens

    @property
    def source_tokens(self) -> int:
        """Tokens that an encoder reads before a decoder's steps: its own number, or the usual."""
        return self.fixed_source_tokens or min(
            SOURCE_TOKENS, self.model.max_context_tokens or SOURCE_TOKENS
        )

    @property
    def fixed_source_tokens(self) -> int | None:
        """Tokens that an encoder of audio gives, whatever it hears; None: they are chosen."""
        encoder = self.model.graph(Role.ENCODER)
        if encoder is None or encoder.names.input_features is None or encoder.names.hidden is None:
            return None
        shape = encoder.port(encoder.names.hidden).shape or ()
        found = shape[1] if len(shape) == 3 else None
        if isinstance(found, int):
            return found
        frames = (encoder.port(encoder.names.input_features).shape or (0, 0, 0))[-1]
        return frames // 2 if isinstance(frames, int) else None

    @property
    def image_pixels(self) -> tuple[int, int]:
        """Height and width of an image."""
        return self.model.image_size or (DEFAULT_PIXELS, DEFAULT_PIXELS)


def geometry_json(geometry: ExportedGeometry) -> Json:
    """As it travels to another process."""
    return {"exported": to_json(geometry.model), "dims": dict(geometry.dims)}


def exported_geometry(fields: Mapping[str, Any]) -> ExportedGeometry | None:
    """What geometry_json wrote; None: the fields are those of a model built here."""
    if "exported" not in fields:
        return None
    return ExportedGeometry(from_json(fields["exported"]), tuple(fields["dims"].items()))
