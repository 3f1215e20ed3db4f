"""Jobs on all cores: results in the jobs' order, errors whole, nothing piled up, nothing left behind."""

import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from helpers import files, parallel, runtime
from helpers.files import DataError
from helpers.parallel import in_processes, in_threads

BOTH = pytest.mark.parametrize("in_parallel", [in_threads, in_processes])


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(runtime, "cores", lambda: 2)


def process_id(_) -> int:
    return os.getpid()


def blas_threads(_) -> list[str | None]:
    return [os.environ.get(name) for name in parallel.THREADS]


@BOTH
def test_results_come_in_the_order_of_the_jobs(in_parallel):
    numbers = list(range(30))[::-1]
    assert list(in_parallel(math.factorial, numbers)) == [math.factorial(n) for n in numbers]
    assert list(in_parallel(math.factorial, iter(numbers))) == [math.factorial(n) for n in numbers]
    assert list(in_parallel(math.factorial, [])) == []


def test_threads_work_side_by_side():
    meeting = threading.Barrier(2, timeout=20)  # a job that waits for another would wait in vain if alone
    assert sorted(in_threads(lambda _: meeting.wait(), range(6))) == [0, 0, 0, 1, 1, 1]


def test_a_single_core_works_without_threads(monkeypatch):
    monkeypatch.setattr(runtime, "cores", lambda: 1)
    assert set(in_threads(lambda _: threading.get_ident(), range(9))) == {threading.get_ident()}
    assert set(in_processes(process_id, range(9))) == {os.getpid()}


def test_enough_jobs_are_done_elsewhere_and_a_few_are_not_worth_a_process():
    assert os.getpid() not in set(in_processes(process_id, range(8)))
    assert set(in_processes(process_id, range(7))) == {os.getpid()}


def test_a_worker_has_one_thread_and_the_environment_stays(monkeypatch):
    monkeypatch.setenv(parallel.THREADS[0], "7")
    monkeypatch.delenv(parallel.THREADS[1], raising=False)
    before = dict(os.environ)
    assert all(found == ["1", "1", "1"] for found in in_processes(blas_threads, range(8)))
    assert dict(os.environ) == before


@BOTH
@pytest.mark.parametrize("count", [3, 12])
def test_an_error_in_a_job_reaches_the_caller_whole(in_parallel, tmp_path, count):
    for number in range(count):
        (tmp_path / str(number)).write_text(str(number))
    (tmp_path / "2").unlink()
    done = in_parallel(files.hash_file, [tmp_path / str(number) for number in range(count)])
    assert next(done) == files.hash_bytes(b"0")
    assert next(done) == files.hash_bytes(b"1")
    with pytest.raises(DataError) as caught:
        next(done)
    assert caught.value.path == tmp_path / "2"
    assert caught.value.remedy


@BOTH
def test_jobs_wait_until_their_results_are_wanted(in_parallel, tmp_path):
    """Else the results of a large data set pile up where they are used more slowly than made."""
    done = in_parallel(Path.touch, [tmp_path / str(number) for number in range(200)])
    next(done)
    count = -1
    while count < (count := len(list(tmp_path.iterdir()))):  # until no more are done
        time.sleep(0.3)
    assert count <= 4 * 2 * (parallel.AHEAD + 1)
    assert len(list(done)) == 199
    assert len(list(tmp_path.iterdir())) == 200


@BOTH
def test_who_looks_no_further_leaves_no_worker_behind(in_parallel, tmp_path):
    before = threading.active_count()
    done = in_parallel(Path.touch, [tmp_path / str(number) for number in range(200)])
    next(done)
    done.close()
    assert threading.active_count() == before
    assert len(list(tmp_path.iterdir())) < 200


def draw_slowly(folder: Path, number: int) -> None:
    (folder / f"{number}.{os.getpid()}").touch()
    time.sleep(300 if number > 6 else 0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows neither signals nor groups of processes")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_worker_outlives_a_parent_that_was_ended(tmp_path, how):
    code = f"""if True:
        import sys
        from functools import partial
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_parallel
        from helpers import runtime
        runtime.cores = lambda: 2
        list(test_parallel.in_processes(partial(test_parallel.draw_slowly, Path({str(tmp_path)!r})), range(24)))
    """
    command = [sys.executable, "-c", code]
    root = Path(parallel.__file__).parents[1]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=root)
    while process.poll() is None and len({path.suffix for path in tmp_path.glob("*") if int(path.stem) > 6}) < 2:
        time.sleep(0.01)
    if how == signal.SIGKILL:
        process.kill()
    else:
        os.killpg(process.pid, how)  # as Ctrl-C does: it reaches the workers, too
    text = process.communicate(timeout=60)[1]  # its workers hold the same pipe: it ends with the last of them
    assert process.returncode == -how
    assert text.count("Traceback") == (how == signal.SIGINT)
