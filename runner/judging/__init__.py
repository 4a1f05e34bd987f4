"""Judging a run: chronicle, rules, who waits for whom, lines that expect something. Looks at what engines ran."""
