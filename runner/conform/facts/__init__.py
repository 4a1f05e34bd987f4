"""``longpin conform --facts``: questions about kernels, each answered by playing it on the emulated one.

=============  ========================================================================
``question``   questions and what kernels answered, read from JSON lines
``answers``    finds the situation (:mod:`longpin.config.situation`), has it played, and answers
``played``     one run, and the calls of it that are looked at
``forms``      how what they came to is written down
``check``      many questions, and the tally by case
=============  ========================================================================
"""
