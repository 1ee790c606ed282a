"""Backends: what paints, finds and locates objects; handed to a pipeline as objects.

In it: one folder per kind: paste, rendered, diffusion, finders; what they share is in common.
May import: nothing.
Gives: `known_models`: models that are known to fit.
"""
