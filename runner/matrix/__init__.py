"""The matrix: every hazard explored under every proposal. Imports the exploration, failures and judging; no command."""
