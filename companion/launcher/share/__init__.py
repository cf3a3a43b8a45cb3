"""A share of the work of tables in a given time, and how fast the device does it."""
