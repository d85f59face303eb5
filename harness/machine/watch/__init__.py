"""Facts about the machine, probes around timed parts, trust grades, the doctor."""
