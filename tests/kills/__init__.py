"""Processes killed at random moments, many times: ``python -m tests.kills --warm 200 --jobs 100 --seed 0``."""
