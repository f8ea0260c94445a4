"""Whether the machines of a Ray cluster use the same store as this process.

Their processes have the environment of their `ray start`, with or without AWS_* variables. Ours are not sent to them:
Ray writes what it passes on, in plain text, into logs that other users can read.
"""

from functools import partial
from uuid import uuid4

from pipeline.errors import StoreError, UserError
from pipeline.runtime.process_identity import host_name
from pipeline.runtime.ray_check import is_joined
from pipeline.store.objects import BRIEF_SECONDS, Store, open_store
from pipeline.store.probe import FOLDER

ANSWER_SECONDS = 20.0  # for a worker to start and to answer; a machine that is slower is not waited for


def insist(store: Store) -> int:
    """How many machines of the joined cluster read and write this store; UserError, naming one, where one does not.

    Of a cluster of our own, none is asked.
    """
    if not is_joined():
        return 0
    from pipeline.runtime import ray_cluster  # ray: seconds

    path = f"{FOLDER}/{uuid4().hex}"
    store.write(path, b"seen")
    try:
        said = ray_cluster.on_each_node(partial(trouble, store.url, path), ANSWER_SECONDS)
    finally:
        store.delete(path)
    if troubles := [text for text in said if text]:
        raise UserError(min(troubles))
    return len(said)


def trouble(url: str, path: str) -> str:
    """Called on a worker: why it cannot use the store that has an object at `path`; empty where it can."""
    here = f"the Ray node {host_name().split()[0]}"
    try:
        store, own = open_store(url, BRIEF_SECONDS), f"{path}.{uuid4().hex}"
        if not store.exists(path):
            return f"{here} sees another {url} than this machine: the store must be one that every node reaches"
        store.write(own, b"written")
        store.delete(own)
        return ""
    except (UserError, StoreError) as error:
        if "no credentials" in str(error):
            return f"{here} has no AWS keys: export AWS_* before `ray start` on every node"
        return f"{here}, whose workers have the environment of its `ray start`: {error}"
