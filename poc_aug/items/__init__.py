"""Items: any dataset's item, open for reading and writing: only the rectangle of a patch is converted.

In it: canvases over PIL images, tensors and arrays; where an item keeps its image and labels; digests of images;
    label ids.
May import: errors, files, luma, types.
Gives: `open_item`, `Adapt`, `is_unshared`, `digest_of_sample`, `distinct_ids`.
"""
