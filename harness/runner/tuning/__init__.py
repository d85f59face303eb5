"""The fastest settings of a session on this machine: what may be set, the search, the turns."""
