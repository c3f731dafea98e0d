"""What a training loop needs around a layer."""
