"""An exported model and what was decided about running it: what travels to the measuring worker."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.engine.workload import Workload
from harness.models.exported.model import ExportedKind, ExportedModel, Role, from_json, to_json
from harness.models.exported.sizes import Axis, Reading, fixed_sizes
from harness.results.enums import Kind

SOURCE_TOKENS = 128  # of the text that an encoder-decoder's steps look at
DECODERS = (ExportedKind.DECODER, ExportedKind.DECODER_WITHOUT_PAST, ExportedKind.ENCODER_DECODER)
# What becomes of weights that are graph inputs too: constants, or what may be fed as in the file.
FROZEN, AS_IS = GRAPH_INPUTS = ("frozen", "as-is")
TEXT_ENCODERS = (ExportedKind.ENCODER, ExportedKind.EMBEDDING)


@dataclass(frozen=True, slots=True)
class ExportedGeometry:
    """A recognised model as it is to be run.

    Attributes:
        model: as recognised.
        dims: free dimensions by name -> size, as the user gave them.
        inputs: values by the name of an input, likewise.
        graph_inputs: of GRAPH_INPUTS.
    """

    model: ExportedModel
    dims: tuple[tuple[str, int], ...] = ()
    inputs: tuple[tuple[str, float], ...] = ()
    graph_inputs: str = FROZEN

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
        encoder = self.model.graph(Role.ENCODER) or self.model.main
        fixed = fixed_sizes(encoder, dict(self.dims)).get(Axis.TOKENS)
        return fixed or min(SOURCE_TOKENS, self.model.source_context_tokens or SOURCE_TOKENS)


def geometry_json(geometry: ExportedGeometry) -> dict[str, Any]:
    """As it travels to another process."""
    dims, inputs = dict(geometry.dims), dict(geometry.inputs)
    return {
        "exported": to_json(geometry.model),
        "dims": dims,
        "inputs": inputs,
        "graph_inputs": geometry.graph_inputs,
    }


def exported_geometry(fields: Mapping[str, Any]) -> ExportedGeometry | None:
    """What geometry_json wrote; None: the fields are those of a model built here."""
    if "exported" not in fields:
        return None
    dims, inputs = (tuple(fields[key].items()) for key in ("dims", "inputs"))
    model, graph_inputs = from_json(fields["exported"]), fields["graph_inputs"]
    return ExportedGeometry(model, dims, inputs, graph_inputs)


def reading_of(test: Workload) -> Reading:
    """What a test of a single pass asks its graph to read."""
    flag = _FLAGS.get(test.kind)
    if flag is None:
        return Reading()
    asks = f"{flag} {test.test.removeprefix(test.kind)}"
    return Reading(asks, test.sequences, test.prompt_tokens or None, test.seconds or None)


_FLAGS = {Kind.ENCODE: "--enc", Kind.IMAGE: "--img", Kind.SOUND: "--aud"}
