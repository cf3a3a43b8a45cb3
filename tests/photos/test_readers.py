"""Worker processes that read images: no lack of the machine makes anybody wait for ever, no script is run again."""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from real_layouts import write_identity_folders

from bctlib.base.errors import BctError
from bctlib.data.photos.framing import WholeImage
from bctlib.data.photos.index import index_folder
from bctlib.data.photos.reading import ImageList, read_batches

READ = """
import numpy as np
from bctlib.base.command import run_command
from bctlib.data.photos.framing import WholeImage
from bctlib.data.photos.files import PathList
from bctlib.data.photos.reading import ImageList, read_batches
from pathlib import Path

files = sorted(path.name for path in Path("photos/nm0000000").iterdir())
images = ImageList(Path("photos/nm0000000"), PathList.of(files), WholeImage((300, 300)))
open("runs", "a").write("run\\n")

def read():
    batches = list(read_batches(images, np.arange(len(images)), 1, workers=2))
    print(len(batches), "batches", batches[0].shape[2])

"""
RUN = "raise SystemExit(run_command('reading', read))\n"


@pytest.fixture
def images(tmp_path, store_folder):
    index = index_folder(write_identity_folders(tmp_path / "photos"))
    return ImageList(index.root, index.paths, WholeImage((64, 64)))


def run_script(folder, text, **settings) -> subprocess.CompletedProcess:
    """Run it in a folder with photographs and a session of its own, which is ended after a minute."""
    write_identity_folders(folder / "photos", 2, 4)
    (folder / "script.py").write_text(text)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "BCT_STORE": str(folder / "store")}
    with subprocess.Popen(
        [sys.executable, "script.py"], cwd=folder, env=environment | settings, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where the tests run in a background
    ) as process:  # fmt: skip
        try:
            output, errors = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def test_a_temporary_folder_with_a_long_name(tmp_path):
    long = tmp_path / ("t" * 120)
    long.mkdir()
    done = run_script(tmp_path, READ + RUN, TMPDIR=str(long))
    assert (done.returncode, done.stdout, done.stderr) == (0, "4 batches 300\n", "")


def test_hardly_any_shared_memory(tmp_path):
    # A limit on the size of new files is one on shared memory too, which is made of files.
    limit = "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
    done = run_script(tmp_path, READ + limit + RUN)
    assert (done.returncode, done.stdout, done.stderr) == (0, "4 batches 300\n", "")


def test_a_script_without_a_guard_is_not_run_again_by_its_workers(tmp_path):
    start = "import multiprocessing\nmultiprocessing.set_start_method('forkserver')\n"
    done = run_script(tmp_path, start + READ + "read()\nassert __file__ and __spec__ is None\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "4 batches 300\n", "")
    assert (tmp_path / "runs").read_text() == "run\n"


def test_an_unguarded_script_that_trains_where_workers_are_spawned(tmp_path):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\ndef build():\n    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1))\n"
    )
    text = "import multiprocessing\nmultiprocessing.set_start_method('spawn')\n"
    text += "from bctlib.upgrade.train import train_new_model\n"
    text += "train_new_model('photos', 'm.safetensors', method='independent', backbone='net:build', dim=4, epochs=1, "
    done = run_script(tmp_path, text + "batch=4, image_size=(16, 16), workers=1, device='cpu')\n")
    assert done.returncode == 0 and (tmp_path / "m.safetensors").exists(), done.stderr
    assert "is making it" not in done.stdout + done.stderr


def test_a_framing_of_the_script_itself_is_found_by_spawned_workers(tmp_path):
    text = "import multiprocessing\n" + READ.replace("WholeImage((300", "Half((300").replace(
        "files =", "class Half(WholeImage):\n    pass\n\nfiles ="
    )
    done = run_script(
        tmp_path, text + "if __name__ == '__main__':\n    multiprocessing.set_start_method('spawn')\n    read()\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "4 batches 300\n", "")


@pytest.mark.parametrize("who", ["after_in_child", "after_in_parent", "before"])
def test_ctrl_c_while_workers_start(tmp_path, who):
    interrupt = f"import os, signal\nos.register_at_fork({who}=lambda: os.killpg(0, signal.SIGINT))\n"
    done = run_script(tmp_path, READ + interrupt + RUN)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("error", "said"),
    [(RuntimeError("no"), "RuntimeError: no"), (MemoryError(), "MemoryError: "), (KeyError("x"), "KeyError: 'x'")],
)
def test_any_exception_in_a_worker_names_its_file(images, workers, error, said):
    failing = ImageList(images.root, images.paths, Failing(error))
    with pytest.raises(BctError) as caught:
        list(read_batches(failing, np.arange(12), 2, workers))
    assert str(caught.value) == f"{images.root / images.paths[5]}: cannot be used ({said})"


class Failing(WholeImage):
    def __init__(self, error):
        object.__setattr__(self, "size", (112, 112))
        object.__setattr__(self, "error", error)

    def __call__(self, position, image):
        if position == 5:
            raise self.error
        return image


class Leaving(WholeImage):
    def __call__(self, position, image):
        if position == 5:
            os._exit(7)
        return super().__call__(position, image)


def test_a_worker_that_leaves_is_one_sentence(images):
    leaving = ImageList(images.root, images.paths, Leaving())
    with pytest.raises(BctError, match=r"died: use fewer than 2 workers, .* more memory \(exit status 7\)"):
        list(read_batches(leaving, np.arange(12), 2, workers=2))
    assert not multiprocessing.active_children()


def test_workers_that_cannot_be_started_are_one_sentence(images, monkeypatch):
    def fork():
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", fork)
    said = r"cannot start 2 processes that read images \(Resource temporarily unavailable\): use fewer workers, or none"
    with pytest.raises(BctError, match=said):
        list(read_batches(images, np.arange(12), 2, workers=2))


def test_workers_end_with_the_reading_however_it_ends(images):
    images = ImageList(images.root, images.paths, WholeImage((400, 400)))  # their sockets hold only a few
    everything = torch.cat(list(read_batches(images, np.arange(12), 5, workers=2)))
    assert everything.shape == (12, 3, 400, 400) and not multiprocessing.active_children()
    begun = read_batches(images, np.tile(np.arange(12), 5), 2, workers=3)
    assert torch.equal(next(begun), everything[:2]) and len(multiprocessing.active_children()) == 3
    begun.close()
    assert not multiprocessing.active_children()


def test_a_process_that_may_have_no_children_reads_by_itself(images):
    def work():
        assert len(list(read_batches(images, np.arange(12), 5, workers=2))) == 3

    process = multiprocessing.get_context("fork").Process(target=work, daemon=True)
    process.start()
    process.join(60)
    assert process.exitcode == 0


def test_workers_end_soon_after_a_parent_that_was_killed(tmp_path):
    text = (
        READ
        + "import multiprocessing, os, signal\nbegun = read_batches(images, np.arange(4).repeat(9), 1, workers=2)\n"
    )
    text += "next(begun)\nprint(*(child.pid for child in multiprocessing.active_children()), flush=True)\n"
    done = run_script(tmp_path, text + "os.kill(os.getpid(), signal.SIGKILL)\n")
    workers = [int(word) for word in done.stdout.split()]
    end = time.monotonic() + 10
    while any(map(is_running, workers)) and time.monotonic() < end:
        time.sleep(0.1)
    assert len(workers) == 2 and not any(map(is_running, workers))


def is_running(pid: int) -> bool:
    """Whether a process is there, and more than a name that nobody has asked for its exit status."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z")
