"""Write the pages that come from the code: `python docs/pages.py`, after any change of it.

    docs/glossary.md          every metric, column and word
    docs/results.md           the results document, field by field
    docs/results.schema.json  the same as a JSON Schema
    docs/plans.md             every key of a plan
    docs/environment.md       every environment variable

In README.md and the other pages of docs/ it draws again what stands between such comments, each
closed by one with a slash:

    table: FILE          the table of a committed document
    lines: FILE REGEX    those lines of it that the expression finds
    compare: FILE AXIS   what `bench compare FILE --axis AXIS` says
    output: bench ...    what the command prints; after ~ an expression: those lines of it

A test holds each page equal to what this script would write.
"""

import inspect
import io
import json
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import chdir, redirect_stdout
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect as types

from harness.analysis.compare import Question, compare_axis
from harness.cli.main import main as main_command
from harness.core.environment import environment_page
from harness.report.compare_table import draw_table
from harness.report.render import render
from harness.results.checksum import KEY as CHECKSUM
from harness.results.checksum import METHOD
from harness.results.document import encode_document, read_document
from harness.results.environment import Environment
from harness.results.glossary import glossary_markdown
from harness.results.metrics import of_records
from harness.results.plan import RunPlan
from harness.results.schema import METHOD_VERSION, SCHEMA_VERSION, Document, Record
from harness.runner.settings.page import plans_page

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
DRAWN = re.compile(r"(<!-- (table|lines|compare|output): (.+?) -->\n).*?(<!-- /\2 -->)", re.DOTALL)
EXAMPLE = "results/reference/default.json"
EXAMPLE_CELL = ("int4", "tg32 @ d0")
EXAMPLE_METRICS = ("decode_tok_s", "tpot_ms", "peak_rss_bytes", "weights_bytes")
EXAMPLE_FACTS = ("cpu_model", "physical_cores", "memory_bytes", "os", "packages")
EXAMPLE_PLAN = ("model", "quant", "gen", "rounds")

INTRODUCTION = f"""\
# The results document

Every run writes one JSON document under `results/`; `harness.run` returns it as typed records.
Generated from harness/results/schema.py by docs/pages.py;
[results.schema.json](results.schema.json) is the same as a JSON Schema.

- This page describes `schema_version` {SCHEMA_VERSION}, `method_version` {METHOD_VERSION}.
  Older documents are read too, and are brought to this form one version at a time; a newer one
  is refused.
- Missing is null, never 0. Times are in ms or ns, memory in bytes, rates per second: the unit is
  part of the name, or stands beside the number.
- A field that has its usual value may be left out of the file.
- Raw samples stay: every figure of a record can be computed again from `samples` and `memory`.
- `checksum` is `sha256:` and the digest of the document without it as JSON with sorted keys, no
  spaces, ASCII escapes and whole numbers without a fraction. A document whose content is another
  is refused; one without it, of an older version, is read unchecked. `bench verify FILE` says
  which of them a file is. `bench sign` signs the checksum, in `FILE.sig` beside the document
  ([how it is checked](security.md#signed-documents)).

Other programs read `bench report FILE --format jsonl`, a record per line and every key in each:

- DuckDB: `select cell.workload, metrics.decode_tok_s.value from read_json('run.jsonl')`. A
  document itself is one row, whose `records` are unnested; one above 16 MiB needs
  `maximum_object_size`, and metrics of any file that is read become fields of all.
- pandas: `read_json("run.jsonl", lines=True, precise_float=True)`; without the last word some
  numbers differ in their last digit. `read_csv` of `--format csv` keeps every digit.
- polars: `read_ndjson("run.jsonl")`. It decides by 100 lines which fields there are, so that of
  more lines those that first hold a value stand in front; of several files give
  `infer_schema_length=None`.
"""


def pages() -> dict[Path, str]:
    """Return each generated page and its text."""
    written = {
        DOCS / "glossary.md": glossary_markdown(),
        DOCS / "results.md": results_markdown(),
        DOCS / "results.schema.json": json.dumps(json_schema(), indent=1) + "\n",
        DOCS / "plans.md": plans_page(),
        DOCS / "environment.md": environment_page(),
    }
    by_hand = {ROOT / "README.md", *DOCS.glob("*.md")} - written.keys()
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(by_hand)}
    return written | {path: redrawn(text) for path, text in texts.items() if DRAWN.search(text)}


def redrawn(text: str) -> str:
    """Return a page with everything between its comments drawn again."""
    return DRAWN.sub(lambda found: f"{found[1]}{DRAWERS[found[2]](found[3])}\n{found[4]}", text)


def _table(file: str) -> str:
    return render(read_document(ROOT / file), "md").strip()


def _lines(words: str) -> str:
    """Some lines of a table, a blank one between it and what follows it."""
    file, _, expression = words.partition(" ")
    kept = [line for line in _table(file).splitlines() if re.search(expression, line)]
    rows = [line for line in kept if line.startswith("|")]
    return "\n".join([*rows, "", *(line for line in kept if not line.startswith("|"))]).strip()


def _comparison(words: str) -> str:
    file, axis = words.split()
    return draw_table(
        compare_axis(read_document(ROOT / file), axis, None, Question()), "md"
    ).strip()


def _output(words: str) -> str:
    """What a command prints: as it is where it prints Markdown, else as a block."""
    line, _, expression = words.partition(" ~ ")
    printed = io.StringIO()
    with chdir(ROOT), redirect_stdout(printed):
        main_command(shlex.split(line)[1:])
    lines = printed.getvalue().strip().splitlines()
    text = "\n".join(one for one in lines if re.search(expression, one))
    return text if "--format md" in line else f"```text\n{text}\n```"


DRAWERS: dict[str, Callable[[str], str]] = {
    "table": _table,
    "lines": _lines,
    "compare": _comparison,
    "output": _output,
}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the results document."""
    schema = msgspec.json.schema(Document)
    properties = schema["$defs"][Document.__name__]["properties"]
    properties[CHECKSUM] = {"type": "string", "pattern": f"^{METHOD}[0-9a-f]{{64}}$"}
    for part in schema["$defs"].values():
        if "description" in part:  # msgspec 0.22 leaves the indents of a docstring, 0.23 does not
            part["description"] = inspect.cleandoc(part["description"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "bench results document",
        **schema,
    }


def results_markdown() -> str:
    """Return the page docs/results.md."""
    parts = [INTRODUCTION.rstrip()]
    parts += [_section(struct) for struct in structs(Document)]
    parts += [_metrics(), _example()]
    return "\n\n".join(parts) + "\n"


def structs(root: type) -> list[type]:
    """Return the records that a document is made of: the outer ones first, each once."""
    found: list[type] = []
    waiting = [root]
    while waiting:
        struct = waiting.pop(0)
        if struct not in found:
            found.append(struct)
            info = types.type_info(struct)
            assert isinstance(info, types.StructType)
            waiting += [cls for field in info.fields for cls in _named(field.type)]
    return found


def _named(kind: types.Type) -> Iterator[type]:
    """Records inside a type."""
    match kind:
        case types.StructType(cls=cls):
            yield cls
        case types.UnionType(types=inner):
            for one in inner:
                yield from _named(one)
        case types.VarTupleType(item_type=item) | types.ListType(item_type=item):
            yield from _named(item)
        case types.TupleType(item_types=items):
            for one in items:
                yield from _named(one)
        case types.DictType(value_type=value):
            yield from _named(value)


def _section(struct: type) -> str:
    """One record: what it is, and a table of its fields."""
    info = types.type_info(struct)
    assert isinstance(info, types.StructType)
    described = attributes(struct)
    lines = ["| field | type | usual | meaning |", "|---|---|---|---|"]
    for field in info.fields:
        meaning = described.get(field.name, "").replace("|", "\\|")
        usual = "" if field.required else f"`{_usual(field)}`"
        lines.append(f"| `{field.encode_name}` | {_drawn(field.type)} | {usual} | {meaning} |")
    return "\n\n".join([f"## {struct.__name__}", summary(struct), "\n".join(lines)])


def summary(struct: type) -> str:
    """Return the text of a docstring before its sections, without line ends."""
    text = re.split(r"\n\s*(?:Attributes|Args|Raises):\n", inspect.getdoc(struct) or "")[0]
    return "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))


def attributes(struct: type) -> dict[str, str]:
    """Return field -> its line of the docstring's Attributes, base classes included."""
    found: dict[str, str] = {}
    for cls in reversed(struct.__mro__):
        _, _, listed = inspect.cleandoc(cls.__doc__ or "").partition("Attributes:\n")
        entries = re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", listed, flags=re.MULTILINE)
        found |= {name: " ".join(text.split()) for name, text in entries}
    return found


def _usual(field: types.Field) -> str:
    """Draw the value that a field has where the file says nothing."""
    if field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT:
        return "left out"  # msgspec.UNSET
    if field.default is not msgspec.NODEFAULT:
        value = field.default.value if isinstance(field.default, Enum) else field.default
        return json.dumps(value)
    return json.dumps(msgspec.to_builtins(field.default_factory()))


def _drawn(kind: types.Type) -> str:  # noqa: C901 - one case per type of msgspec
    """Draw a type as a reader of JSON sees it."""
    match kind:
        case types.StructType(cls=cls):
            return f"[{cls.__name__}](#{cls.__name__.lower()})"
        case types.EnumType(cls=cls):
            return " ".join(f"`{member.value}`" for member in cls)
        case types.LiteralType(values=values):
            return " ".join(f"`{value}`" for value in values)
        case types.UnionType(types=inner):
            return " or ".join(_drawn(one) for one in inner)
        case types.VarTupleType(item_type=item) | types.ListType(item_type=item):
            return f"list of {_drawn(item)}"
        case types.TupleType(item_types=items):
            return f"[{', '.join(_drawn(one) for one in items)}]"
        case types.DictType(value_type=types.AnyType()):
            return "object"
        case types.DictType(value_type=value):
            return f"name → {_drawn(value)}"
        case types.AnyType():
            return "any"
        case types.NoneType():
            return "null"
        case types.StrType():
            return "text"
        case types.BoolType():
            return "true or false"
        case types.IntType():
            return "whole number"
        case types.FloatType():
            return "number"
    return type(kind).__name__.removesuffix("Type").lower()


def _metrics() -> str:
    """The names that `metrics` may hold."""
    lines = ["| metric | unit | meaning | better |", "|---|---|---|---|"]
    for row in of_records():
        meaning = row.definition.replace("|", chr(92) + "|")
        better = "more" if row.more_is_better else "less"
        lines.append(f"| `{row.name}` | {row.unit} | {meaning} | {better} |")
    return "\n\n".join(["## Names of metrics", "\n".join(lines)])


def example() -> Document:
    """Return one record of a committed document, with little of what it holds: still a document."""
    document = read_document(ROOT / EXAMPLE)
    (record,) = (
        one for one in document.records if (one.cell.level, one.cell.workload) == EXAMPLE_CELL
    )
    kept = Record(
        cell=record.cell,
        status=record.status,
        metrics={name: record.metrics[name] for name in EXAMPLE_METRICS},
        estimates={"decode_tok_s": record.estimates["decode_tok_s"]},
        placement=record.placement,
        trust=record.trust,
    )
    return Document(
        run_id=document.run_id,
        created_utc=document.created_utc,
        environment=Environment(
            **{name: getattr(document.environment, name) for name in EXAMPLE_FACTS}
        ),
        plan=RunPlan(**{name: getattr(document.plan, name) for name in EXAMPLE_PLAN}),
        records=(kept,),
    )


def _example() -> str:
    """The example as JSON, fields with their usual values left out."""
    whole = json.loads(encode_document(example()))
    for part in (whole["environment"], *whole["records"]):
        for name in [name for name, value in part.items() if value in (None, False, [], {})]:
            del part[name]
    text = json.dumps(whole, indent=1)
    return "\n\n".join(
        [
            "## Example",
            f"From {EXAMPLE}: one record with four of its metrics, without its samples.",
            f"```json\n{text}\n```",
        ]
    )


def main() -> None:
    """Write every page."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
