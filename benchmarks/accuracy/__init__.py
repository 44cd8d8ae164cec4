"""`make accuracy`: simulated stores on a virtual clock through the agent's own decoders and estimator."""
