"""``longpin conform``: whether the emulated kernel can be told from the real one.

A *program* is a list of system calls by named processes, made one at a time; an *outcome* is what each call answered,
who was signalled, and which leases stood afterwards. The same program runs on the kernel of this machine, in real
processes, and on the emulated kernel, and the two outcomes are compared.

=============  ========================================================================
``ops``        what ops there are and what they take: most follow from what a call declares
``reader``     which call of a program an op is, for both kernels
``orders``     what a real process is ordered to do for a call
``program``    the program format, read and written as JSON lines
``outcome``    what a program does; comparing two outcomes
``emulated``   runs a program on the emulated kernel
``host``       runs a program on the kernel of this machine, by ``stage``, one op after the other
``abilities``  what this machine can run, and why it cannot run the rest
``processes``  the real processes, seen from the runner; ``agent`` is what they execute
``generate``   random programs
``shrink``     a smaller program that still disagrees
``check``      many programs, one after the other, and the tally
``command``    the command line
=============  ========================================================================
"""
