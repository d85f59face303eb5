"""What a result is: typed records, journal, document, raw samples and what they become."""
