"""The commands: flags, progress, printing and exit codes."""
