"""The pure heart: readings become events, events become stock per facing. No clock, no input or output."""
