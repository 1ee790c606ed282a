"""Files: pictures, label maps and results on disk.

In it: decoding of pictures and label maps, which files are none, and writing results.
May import: errors.
Gives: `open_picture`, `open_pair`, `open_labels`, `make_folder`, `writing`.
"""
