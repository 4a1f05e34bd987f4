"""Memory: memory maps, pinning, and the persistent memory that files and devices share."""
