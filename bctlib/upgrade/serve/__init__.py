"""A search index in service while the model changes: the index, the steps of an upgrade, its cost. FAISS lives here."""
