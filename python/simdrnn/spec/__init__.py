"""What a layer is, as data: cells, activations, options, structure, parameters."""
