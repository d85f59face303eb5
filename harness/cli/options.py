"""Flag values that several commands share."""

FORMATS = ("table", "md", "csv", "json", "jsonl")
# What a job of a build service reads, besides; the table of them is harness.report.exporters.
EXPORTS = (
    *("junit", "openmetrics", "bencher", "benchmark-action", "benchmark-action-bigger"),
    *("pyperf", "benchstat"),
)
GITHUB = "github"
DOCUMENT_FORMATS = (*FORMATS, GITHUB, *EXPORTS)
COMPARE_FORMATS = (*FORMATS, GITHUB, "junit", "benchstat")
AB_FORMATS = (*FORMATS, GITHUB, "junit")  # turns are no results document, which benchstat reads
