"""Backbones, heads, methods, recipes, the training loop, and the store of what has been trained."""
