"""How long 10,000 results take to become tables: python tests/support/scale.py [a folder or s3://bucket/prefix]

Run by hand; it writes 10,000 small objects into the store first, and prints seconds, CPU seconds and memory.
"""

import resource
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.synthetic import result

from pipeline.evaluation import frames as tables
from pipeline.evaluation.results import collect
from pipeline.plan.studies import study
from pipeline.store.objects import AT_ONCE, open_store, to_json
from pipeline.store.paths import RunFolder

RUNS = 10_000


def main(url: str) -> None:
    store, grid = open_store(url), study("table-3", 1)
    seeds = RUNS // len(grid.experiments) + 1
    every = tuple(replace(e, seed=seed) for seed in range(seeds) for e in grid.experiments)[:RUNS]
    big = replace(grid, experiments=every, search=())
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(
            pool.map(
                lambda e: store.write(RunFolder(e.id).result, to_json(result(e, 10 + e.seed % 7 / 10).plain())), every
            )
        )
    began, cpu = time.perf_counter(), time.process_time()
    results = collect(store, big.wanted)
    read = time.perf_counter() - began
    made = tables.make(big, results)
    whole = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cells = len(made["cells"])
    print(f"{len(results)} results of {store.url}, {cells} cells: {whole:.1f} s, {read:.1f} s of them reading;")
    print(f"{time.process_time() - cpu:.1f} s of CPU, {memory:.0f} MiB at most")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(folder)
