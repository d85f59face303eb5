#!/usr/bin/env bash
# polars' reader of JSON lines drops fields that first appear after line 100.
#
# polars 2.1.0. One would guess that a field of a later line is a column with nulls before it, as
# with other readers, or an error. read_ndjson decides by the first 100 lines and drops it without a word; where it
# is null in all of them, its first number is an error. infer_schema_length=None reads it.
# Output seen: without late; error; with late.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
${PYTHON:-python3} -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet polars==2.1.0
"$folder/venv/bin/python" - <<'END'
import io
import json
import sys

import polars


def read(record, **options):
    lines = "\n".join(json.dumps(record(place)) for place in range(150))
    return polars.read_ndjson(io.BytesIO(lines.encode()), **options)


def absent(place):
    return {"place": place} | ({"late": 2.5} if place >= 100 else {})


def null(place):
    return {"place": place, "late": 2.5 if place >= 100 else None}


columns = read(absent).columns
print("absent in 100 lines:", columns)
try:
    read(null)
except Exception as problem:
    refused = True
    print(f"null in 100 lines: {type(problem).__name__}")
else:
    refused = False
    print("null in 100 lines: read")
whole = read(absent, infer_schema_length=None).columns
print("infer_schema_length=None:", whole)
as_told = columns == ["place"] and refused and whole == ["place", "late"]
sys.exit(0 if as_told else "the behaviour has changed")
END
