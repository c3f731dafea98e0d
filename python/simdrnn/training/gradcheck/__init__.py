"""Gradients against finite differences."""
