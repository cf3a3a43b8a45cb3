"""A live search index during a model upgrade: the index, the steps of an upgrade, its cost. FAISS is used only here."""
