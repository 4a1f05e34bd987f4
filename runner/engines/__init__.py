"""Engines: what delivers the messages of a world, one at a time or on threads. Uses oracles, judges nothing."""
