"""Video capture: cameras, and the buffers of user memory that they fill."""
