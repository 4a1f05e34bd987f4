"""Processes: programs, signals, descriptors, and the table of who is who."""
