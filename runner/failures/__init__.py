"""Failures: made small, kept, tried first the next time, and told with the line that shows them again."""
