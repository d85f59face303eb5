"""Flag values that several commands share."""

FORMATS = ("table", "md", "csv", "json", "jsonl")
