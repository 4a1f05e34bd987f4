"""The machine we run on, as conformance and host runs use it: processes, /proc, abilities. Knows no world."""
