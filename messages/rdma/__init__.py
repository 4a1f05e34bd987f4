"""What RDMA devices are asked, and what their parts say to each other."""
