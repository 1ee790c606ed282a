"""What backends share: devices, memory, checkpoints.

In it: devices and dtypes, halving of batches, limits of settings, model files.
May import: errors, optional_imports.
Gives: `resolve_device`, `resolve_dtype`, `Halving`.
"""
