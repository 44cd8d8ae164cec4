"""What HQ and the simulators may know of the edge: identifiers, messages, planogram, errors."""
