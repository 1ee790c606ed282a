"""Object stores: a cache goes to S3, a hub or a web server, and comes back to a local disk, checked.

In it: addresses, the list of what a store holds, transfers that continue, pushing, pulling, local copies.
May import: cache, errors, files, optional_imports.
Gives: `push`, `pull`, `local_copy`, `is_store_url`.

::

    s3://bucket/NAME.cache/
      contents.json        every file with its size and hash, written last, see `StoreContents`
      manifest.json
      shards/*.lmdb        sealed ones only
      recipes/*/...        the same for each further recipe
      journal/, rejected/  the latter on request
      versions/<sha256>    a file whose name was taken by another version of it
"""

from __future__ import annotations

from poc_aug.stores.pulling import local_cache, local_copy, pull
from poc_aug.stores.pushing import push
from poc_aug.stores.store_address import is_store_url
from poc_aug.stores.transfer_settings import TransferReport, TransferSettings

__all__ = ["TransferReport", "TransferSettings", "is_store_url", "local_cache", "local_copy", "pull", "push"]
