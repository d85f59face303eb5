"""How a test runs: sessions, decoders, encoders, the commands of the measuring worker."""
