"""Logs of real programs against the model, which says whether what they did is allowed.

:mod:`.strace_values` and :mod:`.strace_lines` read what strace(1) wrote, :mod:`.log` makes calls, signals and ends of
it; :mod:`.translate` and the tables beside it make calls of the model, :mod:`.surroundings` guesses the files there
were; a :mod:`.script` is what one thread did, :mod:`.process` a thread of the model that must do the same, and
:mod:`.search` looks for an order of arrivals in which all of them can.
"""
