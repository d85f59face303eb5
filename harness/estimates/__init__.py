"""What parameters and structure predict; pure functions over frozen records."""
