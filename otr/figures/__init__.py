"""Pictures of results: training curves, length histograms, the paper's Figure 2."""
