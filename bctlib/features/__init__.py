"""Features of models on image pools, and the template embeddings pooled from them."""
