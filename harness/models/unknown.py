"""What is said of a word that means no model: the same in every command."""

from harness.core.errors import UsageError, nearest

FOLDER_NEEDS = (
    "a Hugging Face folder holds config.json and model.safetensors"
    " (or model.safetensors.index.json and the files it names)"
)


def unknown_model(word: str) -> UsageError:
    """Return the error for a word that names no model: the nearest of all names, then the forms."""
    close = nearest(word.rstrip("/").rpartition("/")[2], known_names())
    names = f"did you mean {' or '.join(close)}?" if close else "`bench models` lists the names;"
    return UsageError(
        f"no model and no folder is called {word!r}",
        fix=f"{names} {FOLDER_NEEDS}; an export is a .onnx file or its folder, the hub's models"
        " are hf:org/name",
    )


def known_names() -> tuple[str, ...]:
    """Return every name there is: the catalog, its aliases, trained models, named systems."""
    # Read only once something is wrong.
    from harness.models.catalog.catalog import alias_names, catalog_names
    from harness.models.catalog.counts import published_counts
    from harness.models.catalog.systems import systems
    from harness.models.weights.source import trained_names

    stated = (row.key for row in systems() if row.kind == "model" and (row.parameters or row.meant))
    counted = published_counts()
    known = (*trained_names(), *catalog_names(), *alias_names(), *counted, *stated)
    return tuple(dict.fromkeys(known))
