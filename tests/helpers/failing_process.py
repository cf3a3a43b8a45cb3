"""One of several processes, of which rank 1 fails in the way that its argument names while the others wait for it."""

import os
import signal
import sys

from bctlib.base.errors import BctError
from bctlib.training.processes import joined
from companion.launcher.train_models import rank_main


def work() -> None:
    with joined("cpu") as (processes, _):
        if processes.rank == 1:
            FAULTS[sys.argv[1]]()
        processes.barrier()


def sentence() -> None:
    raise BctError("photo-7.jpg: is a truncated image")


FAULTS = {
    "sentence": sentence,
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "bug": lambda: {}["nothing"],
    "none": lambda: None,
}

if __name__ == "__main__":
    sys.exit(rank_main(work, "failing"))
