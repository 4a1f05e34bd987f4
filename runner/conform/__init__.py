"""``longpin conform``: is the emulated kernel the real one?

A *program* is a list of system calls by named processes, made one at a time; an *outcome* is what each call answered,
who was signalled, and which leases stood afterwards. The same program runs on the kernel of this machine, in real
processes, and on the emulated kernel, and the two outcomes are compared.

=============  ========================================================================
``program``    the program format, read and written as JSON lines
``outcome``    what a program does; comparing two outcomes
``host``       runs a program on the kernel of this machine
``generate``   random programs
``shrink``     a smaller program that still disagrees
``check``      many programs, one after the other, and the tally
``command``    the command line
=============  ========================================================================
"""
