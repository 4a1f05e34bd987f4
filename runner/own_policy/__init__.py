"""A policy of somebody's own, a class in a file: read, checked, executed once, and looked at while it is asked."""
