"""The cache: generated insertions, in LMDB shards next to a manifest.

In it: records, shards, manifest, index, locks; reading, writing and verifying; how a dataset's samples are matched.
May import: counting, errors, files, items, keys, labels, masks, notebook, recipe, scenes, seeding, types.
Gives: `Cache`, `CacheWriter`, `Manifest`, `stored_keys`.

::

    NAME.cache/
      manifest.json        recipe, backends and dataset, see `Manifest`
      shards/
        <writer>.lmdb      one file per writing process, united on reading
        <writer>.lock      held while that process lives
      index.bin            where the records of sealed shards are, see `poc_aug.cache.index_file`; derived, large caches
      rejected/            pictures of rejected attempts, if they were asked for
      journal/             decisions about what is left out, see `poc_aug.cache.journal`
      recipes/             other recipes, each laid out like a cache, see `poc_aug.cache.members`
      set-aside/           what `poc-aug repair` took out
"""

from __future__ import annotations

from poc_aug.cache.cache_path import has_manifest
from poc_aug.cache.codec import CODECS, Codec
from poc_aug.cache.manifest import MANIFEST, SCHEMA_VERSION, Manifest
from poc_aug.cache.reader import Cache
from poc_aug.cache.record import decode_record, encode_record, same_variant
from poc_aug.cache.united_caches import UnitedCaches, open_members
from poc_aug.cache.verify import Problem, VerifyReport
from poc_aug.cache.writer import CacheWriter

__all__ = [
    "CODECS",
    "MANIFEST",
    "SCHEMA_VERSION",
    "Cache",
    "CacheWriter",
    "Codec",
    "Manifest",
    "Problem",
    "UnitedCaches",
    "VerifyReport",
    "decode_record",
    "encode_record",
    "has_manifest",
    "open_members",
    "same_variant",
]
