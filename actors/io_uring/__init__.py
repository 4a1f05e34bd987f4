"""io_uring: rings, their registered buffers, and what is read and written through these [1.10.4]."""
