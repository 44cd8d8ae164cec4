"""The camera page: the newest frame of each camera, and its lines, places and masks drawn on it."""
