"""Queries of a new model that are mapped into the old space before they search: every kind of map, and the filter."""
