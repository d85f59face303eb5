"""Where numbers come from: seeded, or a Hugging Face folder, streamed."""
