"""Running worlds: engines, scheduling oracles, invariants, verbs, reports and the command line."""
