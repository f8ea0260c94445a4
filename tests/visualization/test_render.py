"""Pictures drawn on a Ray cluster are those drawn in this process."""

import pytest
from support.looked import experiment, finish, raw

from pipeline.data import sources
from pipeline.records.result import Result
from pipeline.store.objects import open_store
from pipeline.store.paths import RunFolder
from pipeline.visualization import render
from pipeline.visualization.catalogue import RenderRequest, missing

RUNS = [experiment("strided-cnn-a"), experiment("strided-cnn-a", seed=1)]
WANTED = RenderRequest(images=tuple(range(40)), channels=2, top=3, kinds=("patterns", "strongest", "maps"))


@pytest.mark.ray
@pytest.mark.ci
def test_on_a_cluster_they_are_the_same(tmp_path, monkeypatch):
    monkeypatch.setitem(sources._SOURCES, "noise", raw)
    here, there = (open_store(str(tmp_path / name)) for name in ("here", "there"))
    for store in (here, there):
        for run in RUNS:
            finish(store, run)
    work = [(r, missing(here, r, here.read_record(Result, RunFolder(r.id).result).digests, WANTED)) for r in RUNS]
    alone = render.render_here(here, work)
    together = render.Rendering(work, there.url, workers=2).rate()
    assert (together.maps, together.sheets) == (alone.maps, alone.sheets)
    assert alone.maps > 0
    assert together.cpu_seconds > 0
    for run in map(RunFolder, [r.id for r in RUNS]):
        names = here.names(run.figures)
        assert there.names(run.figures) == names
        assert all(here.read(run.figure(name)) == there.read(run.figure(name)) for name in names)
