"""Attention over the outputs of an encoder, decoders that are fed by it, and beam search."""
