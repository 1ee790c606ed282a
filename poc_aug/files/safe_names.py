"""File names made of the keys of samples: different ones for different keys, on any file system."""

from __future__ import annotations

from urllib.parse import quote

import xxhash

_LONGEST = 200


def file_name(key: str) -> str:
    """A file's name, without its suffix, for a key.

    Letters and digits of ASCII, ``.``, ``_`` and ``-`` stay; every other byte becomes ``%`` and two hex digits, a dot
    at the beginning too. The end of a name of more than 200 bytes is replaced by ``~`` and the key's hash.

    Example:
        >>> from poc_aug.files.safe_names import file_name
        >>> file_name("town/0001"), file_name("town_0001"), file_name("100%"), file_name("..")
        ('town%2F0001', 'town_0001', '100%25', '%2E.')
        >>> len(file_name("a" * 1000)), file_name("")
        (200, '%')
    """
    name = quote(key, safe="", errors="surrogatepass").replace("~", "%7E")
    name = f"%2E{name[1:]}" if name.startswith(".") else name
    if len(name) > _LONGEST:
        digest = xxhash.xxh3_128_hexdigest(key.encode("utf-8", "surrogatepass"))
        name = f"{name[: _LONGEST - len(digest) - 1]}~{digest}"
    return name or "%"
