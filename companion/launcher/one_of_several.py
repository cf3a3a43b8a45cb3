"""How a process that torchrun started ends: its fault is said once, whichever of the processes have it too.

torchrun ends all processes as soon as it sees one that failed, a tenth of a second later. So whoever may only repeat
what rank 0 says, or suffer from what another process died of, waits a while before it fails, and is ended meanwhile.
"""

import functools
import sys
import time
from collections.abc import Callable

from bctlib.base.errors import BctError
from bctlib.training.processes import rank_and_size

_COMMON_S = 1.5  # what another rank gives rank 0 to say the same
_CONSEQUENCE_S = 4.0  # what an error that is none of ours gives torchrun to find the process that caused it


def run_as_one(work: Callable[[], None], command: str) -> int:
    """Do `work`, this process's part, and give the exit status; a BctError is one sentence on stderr.

    torchrun is told the error too, by the file that it names for that. Any other exception is raised again.
    """
    from torch.distributed.elastic.multiprocessing.errors import record  # a second, for nothing where all goes well

    rank, size = rank_and_size()

    @functools.wraps(work)
    def patient() -> None:
        try:
            work()
        except BctError:
            time.sleep(_COMMON_S if rank else 0)
            raise
        except Exception:
            time.sleep(_CONSEQUENCE_S if size > 1 else 0)
            raise

    try:
        record(patient)()
    except BctError as error:
        print(f"{command}: {error}", file=sys.stderr)
        return error.exit_code
    return 0
