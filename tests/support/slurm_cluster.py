"""A Slurm cluster of this machine's own: munge, controller and nodes with a configuration, ports and folders apart."""

import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from support.processes import free_port

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "sinfo")
SBIN = "/usr/sbin"
CONFIGURATION = """\
ClusterName=strive
FirstJobId={first}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={home}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool.%n
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd.%n.pid
SlurmctldLogFile={home}/slurmctld.log
SlurmdLogFile={home}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=1,sched_min_interval=0
KillWait=30
ReturnToService=2
MpiDefault=none
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why no cluster can be started here; empty when one can."""
    if os.geteuid() != 0:
        return "Slurm's daemons want root to start jobs"
    absent = [name for name in PROGRAMS if not shutil.which(name, path=_path())]
    return f"not installed: {', '.join(absent)}" if absent else ""


def _path() -> str:
    return f"{os.environ['PATH']}:{SBIN}"


class Slurm:
    """Start it, submit, wait; `end` it always."""

    def __init__(self, home: Path, nodes: int, cpus: int):
        self.home, self.daemons = home, []
        home.chmod(0o755)
        (home / "state").mkdir()
        self.env = {**os.environ, "SLURM_CONF": str(home / "slurm.conf"), "PATH": _path()}
        host = socket.gethostname().split(".")[0]
        names = [f"n{i}" for i in range(nodes)]
        lines = [
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={free_port()} CPUs={cpus} State=UNKNOWN"
            for name in names
        ]
        (home / "slurm.conf").write_text(
            CONFIGURATION.format(
                host=host,
                port=free_port(),
                first=secrets.randbelow(10**6) + 1,
                user=getpass.getuser(),
                home=home,
                nodes="\n".join(lines),
            )
        )
        key = home / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        files = [f"--{kind}-file={home}/munge.{kind}" for kind in ("key", "pid", "log", "seed")]
        self._start("munged", "--foreground", "--force", f"--socket={home}/munge.socket", *files)
        self._until(lambda: (home / "munge.socket").exists(), 30)
        self._start("slurmctld", "-D")
        for name in names:
            (home / f"spool.{name}").mkdir()
            self._start("slurmd", "-D", "-N", name)
        self._until(lambda: self.say("sinfo", "--noheader", "--format=%T").split() == ["idle"], 60)

    def _start(self, *words: str) -> None:
        with (self.home / f"{words[0]}.{len(self.daemons)}.out").open("wb") as out:
            self.daemons.append(
                subprocess.Popen(words, env=self.env, cwd=self.home, stdout=out, stderr=out, start_new_session=True)
            )

    def _until(self, true, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < until, self.logs()
            assert all(daemon.poll() is None for daemon in self.daemons), self.logs()
            time.sleep(0.5)

    def say(self, *words: str, **env: str) -> str:
        """What a command of Slurm's answers."""
        done = subprocess.run(
            words, env=self.env | env, cwd=self.home, capture_output=True, text=True, check=False, timeout=60
        )
        return done.stdout + done.stderr

    def submit(self, *words: str, **env: str) -> str:
        """The number of the job that `sbatch *words` made."""
        number = self.say("sbatch", "--parsable", *words, **env).strip()
        assert number.isdigit(), number
        return number

    def job(self, number: str) -> dict[str, str]:
        """What Slurm knows of the job: JobState, Restarts, ExitCode and more."""
        text = self.say("scontrol", "--oneliner", "show", "job", number)
        return dict(word.split("=", 1) for word in text.split() if "=" in word)

    def wait(self, number: str, seconds: float) -> dict[str, str]:
        """The job's end."""
        over = ("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL", "OUT_OF_MEMORY")
        self._until(lambda: self.job(number).get("JobState") in over, seconds)
        return self.job(number)

    def logs(self) -> str:
        return "\n".join(
            f"{file.name}:\n{file.read_text(errors='replace')[-2000:]}" for file in self.home.glob("*.*log")
        )

    def end(self) -> None:
        """Jobs first, then the daemons, controller before munge."""
        self.say("scancel", "--user", getpass.getuser())
        until = time.monotonic() + 60
        while self.say("squeue", "--noheader").strip() and time.monotonic() < until:
            time.sleep(0.5)
        for daemon in reversed(self.daemons):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
