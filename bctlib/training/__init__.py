"""Recipes, the training loop, the store of trained models, and features."""
