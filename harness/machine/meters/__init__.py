"""What is read before and after a timed part: clock, memory, energy."""
