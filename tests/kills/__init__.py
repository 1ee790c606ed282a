"""Processes killed at random moments, many times: ``python -m tests.kills --warm 200 --live 100 --seed 0``."""
