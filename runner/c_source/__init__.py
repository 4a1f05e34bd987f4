"""A scenario as a C program that people can read, mail and run: ``longpin show SCENARIO --as c``.

:mod:`.write` writes the file; :mod:`.calls` how each call is made; :mod:`.helpers` what stands before the programs;
:mod:`.text` keeps whatever a scenario says from being taken for C.
"""
