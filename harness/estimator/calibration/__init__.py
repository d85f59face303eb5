"""Hardware peaks of this machine, measured by micro-graphs with intervals."""
