"""The actors: one file a kind. An actor decides; the engine it is given delivers."""
