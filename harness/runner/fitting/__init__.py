"""Which candidate meets the requirements: by estimate, by measuring those undecided, confirmed."""
