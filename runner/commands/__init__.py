"""The command line, one file a verb. Uses everything, and nothing uses it."""
