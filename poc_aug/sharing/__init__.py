"""Sharing: caches that travel.

In it: packing a cache into one archive with a datasheet, and unpacking it; licences of what it was made with.
May import: backends, cache, counting, errors, files, inspection, masks, reading, recipe, scenes, types, upkeep,
    version.
Gives: `pack_cache`, `unpack_cache`.
"""
