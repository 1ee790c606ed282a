"""Drawing by code: what the rendered objects and the synthetic streets share."""
