"""The protocol: what actors say to each other, one file a subsystem, and how it is written down."""
