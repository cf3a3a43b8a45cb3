"""How each kind of table is laid out: a file per kind."""
