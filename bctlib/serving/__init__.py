"""A search index in service while the model changes: the index, the steps of an upgrade, its cost. FAISS lives here."""

from bctlib.serving.live_index import Hits, LiveIndex

__all__ = ["Hits", "LiveIndex"]
