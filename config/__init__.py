"""Scenarios: the schema of a scenario file, its loader, and the notation of the programs in it."""
