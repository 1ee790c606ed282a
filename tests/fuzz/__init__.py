"""Records and shards as somebody could write them who means harm: ``python -m tests.fuzz --records 1000000``."""
