"""RDMA: verbs contexts with what they own, and the queue pairs of a NIC."""
