"""What is measured: `searches` (what each query finds, what each pair scores), `resampling` (the bootstrap over
identities), `measures` (accuracies at the operating points with their replicates)."""
