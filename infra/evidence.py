"""Let the paper's runs be trained in the background of other work on this machine, and collect what has finished.

    python3 infra/evidence.py start [--data-dir DIR]   # one command when you begin to work
    python3 infra/evidence.py status
    python3 infra/evidence.py stop [--checkpoint RUN]  # one command before you stop: then commit results/

`start` makes a checkout of its own of a commit, with its own environment, so that your edits never touch what trains;
one process for every CPU works through PLAN at the lowest priority. Without bfloat16 instructions, training at full
width takes days: there only the study `quarter` is trained. `stop` ends the processes (they save their state first),
verifies what has finished, copies it into results/, weights in half precision, and makes tables and pages there.
Nothing is lost by either: the next `start` goes on from the last checkpoint, and on another machine from results/. A
checkpoint (7 MB at full width) goes to results/ only for runs named with --checkpoint, where losing it would cost more
than an hour; git ignores checkpoints there, so `git add -f` it.
"""

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
RESULTS = REPOSITORY / "results"
STRIVE, QUIETLY = ("uv", "run", "--frozen", "strive"), {"cwd": REPOSITORY, "stdout": subprocess.DEVNULL}
HOME = Path(os.environ.get("STRIVE_EVIDENCE") or Path.home() / ".cache" / "strive" / "evidence")
CODE, STORE, LOGS, PIDS = HOME / "code", HOME / "store", HOME / "logs", HOME / "pids"
STRIDED_A = ("table-3", "--network", "strided-cnn-a", "--without-validation")
PLAN = (  # in the order of their worth; process n begins at entry n, and all come round to all of them
    (*STRIDED_A, "--seeds", "1", "--learning-rate", "0.05"),
    ("quarter", "--seeds", "1"),
    (*STRIDED_A, "--seeds", "1", "--learning-rate", "0.01"),
    STRIDED_A,
    ("quarter",),
    ("readings",),
    ("table-3", "--network", "strided-cnn-c", "--without-validation"),
    ("table-3", "--network", "model-a", "--without-validation"),
    ("table-3", "--network", "all-cnn-a", "--without-validation"),
)
WITHOUT_BFLOAT16 = (  # what finishes in hours there: network by network, the ones that are trained soonest first
    *(
        ("quarter", "--seeds", "1", "--network", f"{kind}-{base}")
        for kind in ("strided-cnn", "model", "all-cnn", "convpool-cnn")
        for base in "abc"
    ),
    *(words for words in PLAN if words[0] == "quarter"),
)
NOT_KEPT = ("checkpoint", "model.safetensors", "claims", "damaged")  # of a finished run, in results/
WITHOUT_WEIGHTS = ("readings",)  # studies of minutes, whose networks are of no use afterwards; nor are they verified
STOP_SECONDS = 120


def start(commit: str, data_dir: str | None, workers: int) -> None:
    """Begin or go on, from the checkout of `commit`."""
    if alive := running():
        sys.exit(f"{len(alive)} processes are at work already: `stop` them first")
    for folder in (LOGS, PIDS, STORE):
        folder.mkdir(parents=True, exist_ok=True)
    check_out(commit)
    take_from_results()
    environment = os.environ | {"STRIVE_STORE": str(STORE)} | ({"STRIVE_DATA_DIR": data_dir} if data_dir else {})
    plan = PLAN if has_bfloat16() else WITHOUT_BFLOAT16
    for number in range(workers):
        first = number % len(plan)
        turn = plan[first:] + plan[:first]
        strive = str(CODE / ".venv/bin/strive")
        commands = "; ".join(shlex.join([strive, "work", *words, "--yes"]) for words in turn)
        with open(LOGS / f"{number}.log", "ab") as log:
            child = subprocess.Popen(
                ["nice", "-n", "19", "sh", "-c", f"echo 19 > /proc/self/autogroup; {commands}"],
                env=environment, cwd=HOME, start_new_session=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        (PIDS / str(number)).write_text(f"{child.pid} {_started(child.pid)}")
    print(f"{workers} processes train in {HOME}; their logs are in {LOGS}")
    if plan is WITHOUT_BFLOAT16:
        print("this processor has no bfloat16 instructions: only the study quarter is trained here")


def stop(unfinished: list[str]) -> None:
    """End the processes and collect what they have finished, and the checkpoints of the runs named."""
    _signal_all(signal.SIGTERM)
    until = time.monotonic() + STOP_SECONDS
    while running() and time.monotonic() < until:
        time.sleep(0.5)
    _signal_all(signal.SIGKILL)
    for run in unfinished:
        shutil.copytree(STORE / "runs" / run, RESULTS / "runs" / run, dirs_exist_ok=True)
    collect()


def collect() -> None:
    """Verify every finished run of the plan and copy it into results/; then write tables, pages and the front page."""
    names = list(dict.fromkeys(words[0] for words in PLAN))
    keeping = [str(CODE / ".venv/bin/python"), "-P", __file__, "keep", *names]
    kept = subprocess.run(keeping, check=True, cwd=HOME, capture_output=True, text=True).stdout.split()
    for name in kept:
        subprocess.run([*STRIVE, "table", name, "--fresh", "--store", "results"], check=True, **QUIETLY)
    subprocess.run([*STRIVE, "index", "--store", "results"], check=True, **QUIETLY)
    print("collected into results/: look at `git status results`, then commit it")


def keep(names: list[str]) -> None:
    """What `collect` runs in the environment of the frozen checkout; prints the studies that have new runs."""
    # a frozen checkout may be older than this file: from there come only names that lay there all along
    from pipeline.evaluation.verify import RunFolder, publish_float16, verify
    from pipeline.plan.studies import study
    from pipeline.store.objects import open_store

    store = open_store(str(STORE))
    for name in names:
        finished = [e.id for e in study(name).wanted if store.exists(RunFolder(e.id).result)]
        if any(not (RESULTS / RunFolder(id).result).exists() for id in finished):
            print(name)
        for experiment in study(name).wanted:
            run = RunFolder(experiment.id)
            if not store.exists(run.result) or (RESULTS / run.result).exists():
                continue  # what lies in results/ was verified when it came there, and may have rounded weights alone
            if name in WITHOUT_WEIGHTS:
                why = f"networks of {name} are of no use afterwards"
                (RESULTS / run.top).mkdir(parents=True, exist_ok=True)
                (RESULTS / run.top / "not-kept.json").write_text(json.dumps({"what": "weights", "why": why}) + "\n")
            else:
                verify(store, experiment.id)
                publish_float16(store, experiment.id)
            _copy(STORE / run.top, RESULTS / run.top, *NOT_KEPT)


def take_from_results() -> None:
    """Bring what results/ holds, checkpoints included, into the store where it is not there yet."""
    for run in sorted((RESULTS / "runs").glob("*")):
        if not (STORE / "runs" / run.name / "result.json").exists():
            _copy(run, STORE / "runs" / run.name)


def _copy(run: Path, to: Path, *left_out: str) -> None:
    """A run's folder, its result last: a copy that was cut off is not taken for a finished run, and is made again."""
    shutil.copytree(run, to, dirs_exist_ok=True, ignore=shutil.ignore_patterns("result.json", *left_out))
    if (run / "result.json").exists():
        shutil.copy2(run / "result.json", to / "result.json")


def check_out(commit: str) -> None:
    """The commit in a worktree of its own, with its own environment."""
    if not CODE.exists():
        git("worktree", "prune")
        git("worktree", "add", "--detach", str(CODE), commit)
    git("-C", str(CODE), "checkout", "--quiet", "--detach", git("rev-parse", commit))
    subprocess.run(["uv", "sync", "--frozen", "--quiet"], cwd=CODE, check=True)


def git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=REPOSITORY, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"git {shlex.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()


def has_bfloat16() -> bool:
    """Whether the processor has bfloat16 instructions, as /proc/cpuinfo says; True where there is none."""
    flags = Path("/proc/cpuinfo")
    return not flags.exists() or "bf16" in flags.read_text(encoding="utf-8")


def running() -> list[int]:
    """The processes of the last `start` that are alive, as leaders of their groups."""
    noted = [file.read_text().split() for file in PIDS.glob("*")] if PIDS.exists() else []
    return [int(pid) for pid, *started in noted if _is_alive(int(pid), *started)]


def _signal_all(number: int) -> None:
    for pid in running():
        with suppress(ProcessLookupError):  # it has just ended
            os.killpg(pid, number)


def _is_alive(group: int, started: str = "") -> bool:
    """Whether a process of the group is alive; another that has its leader's number, as after a boot, is none."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):  # the latter of another user's
        return False
    return not started or _started(group) in (started, "")


def _started(pid: int) -> str:
    """When a process began, in ticks since the boot; "" where it is gone or nothing is known."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except OSError:
        return ""


def status() -> None:
    """How many processes work, and the last words of each."""
    print(f"{len(running())} processes at work in {HOME}")
    for log in sorted(LOGS.glob("*.log")):
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        print(f"{log.name}: {lines[-1] if lines else 'nothing yet'}")


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    begin = commands.add_parser("start", help="begin, or go on")
    begin.add_argument("--commit", default="HEAD", help="the code that trains; a commit that stays in the history")
    begin.add_argument("--data-dir", help="folder with the published data sets; else they are downloaded")
    begin.add_argument("--workers", type=int, default=_cpus(), help="processes; one for every CPU")
    end = commands.add_parser("stop", help="end, verify what has finished, copy it into results/")
    end.add_argument("--checkpoint", action="append", default=[], metavar="RUN", help="an unfinished run to copy whole")
    commands.add_parser("collect", help="copy what has finished without ending anything")
    commands.add_parser("status", help="who works, and at what")
    commands.add_parser("keep").add_argument("studies", nargs="*")
    given = parser.parse_args()
    match given.command:
        case "start":
            start(given.commit, given.data_dir, given.workers)
        case "stop":
            if unknown := [run for run in given.checkpoint if not (STORE / "runs" / run).is_dir()]:
                parser.error(
                    f"{STORE} has no run {', '.join(unknown)}: --checkpoint takes the name of a folder in its runs/"
                )
            stop(given.checkpoint)
        case "collect":
            collect()
        case "status":
            status()
        case "keep":
            keep(given.studies)


if __name__ == "__main__":
    main()
