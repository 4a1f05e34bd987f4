"""Races against the kernel of this machine: a scenario's processes run free, many times, and every outcome is kept.

:mod:`.offers` says what of a scenario can be run so; :mod:`.encode` writes it as data for the runner, a program in C
(``runner.c`` coordinates, ``process.c`` is a process, ``calls.c`` knows the calls, ``scenario.c`` reads the data);
:mod:`.build` compiles that once; :mod:`.free` has it run and reads what it says; :mod:`.outcome` is what came of a run,
in a form that can be compared with what the model does; :mod:`.generate` writes small racing scenarios at random.
"""
