"""A new model on one's own images, compatible with the old one."""
