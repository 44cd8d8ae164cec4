"""A whole simulated store on the real protocols, with ground truth beside it."""
