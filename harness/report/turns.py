"""What is said below a table that holds turns of a chat."""

TURNS = (
    "TTFT: the cache holds what was said before; reread TTFT: it was lost, and all of it is read"
    " again (bench explain turn)"
)
