"""The paper's tables from committed results, beside the paper's own numbers."""
