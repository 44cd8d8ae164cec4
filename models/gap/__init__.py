"""The shelf-gap net: drawn shelves to learn from, the net as a graph, what it is taught."""
