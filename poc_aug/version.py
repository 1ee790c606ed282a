"""The version of poc_aug: written here and nowhere else."""

__version__ = "0.1.0"
