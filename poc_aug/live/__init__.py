"""Live generation: one process alongside the training makes insertions for all of its workers.

In it: the process and its owner, the connections of workers, requests, messages, statistics in shared memory.
May import: cache, camera_model, errors, generation, labels, reading, types.
Gives: `LiveGenerator`.

::

    worker --- sample (shared memory) --> generation process: pipeline, models, accelerator
    worker <-- variant (a record) ------- which stores it in the cache first

Nothing of CUDA ever crosses into a worker, whatever its start method, and requests of all workers share batches.

In the processes that read, `live_generator` is what a dataset holds, and `client` sends a worker's requests. In the
training process, `process_supervisor` starts, watches and ends the process. In the generation process, `server` runs
the pipeline, `request_sockets` receives requests, `request_queue` orders them, and `variant_locks` keeps several
processes on one cache from generating the same variant. Between them are `messages` on sockets and `counters` in
shared memory.
"""

from __future__ import annotations

from poc_aug.live.live_generator import LiveGenerator

__all__ = ["LiveGenerator"]
