"""Sharing: caches that travel.

In it: packing a cache into one archive with a datasheet, and unpacking it; licences of what it was made with.
May import: backends, backends.paste, cache, errors, files, recipe, scenes.
Gives: `pack_cache`, `unpack_cache`.
"""
