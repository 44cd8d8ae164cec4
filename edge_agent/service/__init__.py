"""How any of our processes is configured and run."""
