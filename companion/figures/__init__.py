"""Tables and figures drawn from committed results, and the paper's own numbers beside them."""
