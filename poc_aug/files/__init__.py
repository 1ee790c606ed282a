"""Files: pictures, label maps, YAML and results on disk.

In it: decoding of pictures and label maps, files that are not data, YAML mappings, and writing results.
May import: errors.
Gives: `open_picture`, `open_pair`, `open_labels`, `read_yaml`, `make_folder`, `writing`.
"""
