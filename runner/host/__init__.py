"""``longpin run --engine host``: a scenario on the kernel of this machine, in real processes.

:mod:`.offers` says what of a scenario an unmodified kernel can run; :mod:`.calls` turns each call of a program into an
order for a process; :mod:`.program` is one process, run by the interpreter of all programs; :mod:`.world` lets the
processes run side by side until nothing can happen any more; :mod:`.machine` makes the files and leaves nothing behind;
:mod:`.judge` turns what happened into a result. The processes are those of :mod:`longpin.runner.machine`.
"""
