"""Memory: address spaces, and the persistent memory that files and devices share."""
