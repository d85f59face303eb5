"""Models in forms that are not measured here: told by name and first bytes, and said in words."""

from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import UsageError

_OTHER = "a .onnx export of the same model, or its safetensors and config.json"


@dataclass(frozen=True, slots=True)
class Format:
    """A form of files.

    Attributes:
        name: and who runs it.
        endings: of file names.
        magic: bytes that such a file has, and where; empty: its name decides.
        magic_at: offset of `magic`.
        fix: what to give in its place.
    """

    name: str
    endings: tuple[str, ...]
    magic: bytes = b""
    magic_at: int = 0
    fix: str = _OTHER


# Source of the signatures: gguf.md of ggml; ort.fbs (file identifier ORTM); schema.fbs of TFLite.
FORMATS = (
    Format("GGUF, which llama.cpp runs", (".gguf",), b"GGUF", fix="one .gguf file: --model FILE"),
    Format("of ggml before GGUF", (".ggml",), fix="the same model as GGUF"),
    Format(
        "a FlatBuffer of ONNX Runtime's own format (ORT)",
        (".ort",),
        b"ORTM",
        4,
        "the .onnx file that it was made from",
    ),
    Format("a FlatBuffer of LiteRT (TFLite)", (".tflite", ".litertlm", ".task"), b"TFL3", 4),
    Format("of PyTorch: a pickle, which may run code", (".pt", ".pth", ".bin", ".ckpt", ".pte")),
    Format("of TensorFlow or Keras", (".pb", ".h5", ".keras")),
    Format("of Core ML", (".mlmodel", ".mlpackage", ".mlmodelc")),
    Format("compiled by TensorRT", (".engine", ".plan", ".trt")),
    Format("weights alone", (".safetensors", ".npz"), fix="the folder that holds its config.json"),
)


def refuse_format(path: Path) -> UsageError | None:
    """Return what is said of a file, or of a folder of files, in such a form; None: it is none.

    Of a folder the largest file of such a form counts; safetensors there are what is read.
    """
    if path.is_dir():
        files = [file for file in path.iterdir() if file.is_file() and _format(file) is not None]
        files = [file for file in files if file.suffix != ".safetensors"]
        if not files:
            return None
        file = max(files, key=lambda each: each.stat().st_size)
        found = _format(file)
        assert found is not None
        return UsageError(
            f"the folder {path.name!r} holds {file.name!r}, which is {found.name}",
            fix=f"give {found.fix}",
        )
    found = _format(path)
    if found is None:
        return None
    return UsageError(f"{path.name!r} is {found.name}", fix=f"give {found.fix}")


def _format(file: Path) -> Format | None:
    """Return the form of a file: by its first bytes, else by its name."""
    try:
        with file.open("rb") as opened:
            head = opened.read(16)
    except OSError:
        head = b""
    for row in FORMATS:
        if row.magic and head[row.magic_at : row.magic_at + len(row.magic)] == row.magic:
            return row
    return next((row for row in FORMATS if file.suffix.casefold() in row.endings), None)
