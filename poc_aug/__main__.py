"""``python -m poc_aug``: the same as ``poc-aug``."""

from poc_aug.cli.main import app

if __name__ == "__main__":
    app()
