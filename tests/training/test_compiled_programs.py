"""The cache of compiled programs is optional, private, and harmless when damaged."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import glassnet as gn
from glassnet import _cache, _compile
from glassnet._cache import collection_paused, user_cache
from glassnet.errors import DataWarning

TRAIN = """
import glassnet as gn, numpy as np
X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
run = gn.train(gn.Network([gn.Dense(4), gn.Tanh(), gn.Dense(2)]), X, (X[:, 0] > 0).astype(int), epochs=3)
print(run.model.outputs(X).tobytes().hex())
"""


def run(code: str, home: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new process with its own home folder."""
    inherited = {
        k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "GLASSNET_", "XDG_"))
    }
    env = inherited | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")} | extra
    return subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )


def programs(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file() and "cache" in p.name}


def test_the_next_process_compiles_nothing(tmp_path):
    first = run(TRAIN, tmp_path, GLASSNET_CACHE="on")
    kept = programs(tmp_path / "cache")
    assert first.returncode == 0 and any("run_epochs" in name for name in kept)
    counted = (
        TRAIN.replace("import glassnet", COUNT + "import glassnet", 1) + "print(hits, misses)\n"
    )
    second = run(counted, tmp_path, GLASSNET_CACHE="on")
    bits, hits = second.stdout.splitlines()
    assert bits == first.stdout.strip()
    assert int(hits.split()[0]) >= 2 and hits.split()[1] == "0"
    assert programs(tmp_path / "cache").keys() == kept.keys()
    without = run(TRAIN, tmp_path / "other")
    assert without.stdout == first.stdout and not programs(tmp_path / "other")  # off by default


COUNT = """
import jax
hits = misses = 0
def listen(event, **_):
    global hits, misses
    hits += event == "/jax/compilation_cache/cache_hits"
    misses += event == "/jax/compilation_cache/cache_misses"
jax.monitoring.register_event_listener(listen)
"""


def test_damaged_programs_in_the_cache_are_ignored(tmp_path):
    first = run(TRAIN, tmp_path, GLASSNET_CACHE="on")
    for path in (tmp_path / "cache").rglob("*-cache"):
        path.write_bytes(path.read_bytes()[:100] + b"damaged")
    second = run(TRAIN, tmp_path, GLASSNET_CACHE="on")
    assert second.returncode == 0 and second.stdout == first.stdout


@pytest.mark.skipif(os.name != "posix", reason="only POSIX has these permissions")
def test_the_cache_folder_is_private(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "umask", os.umask)
    old = os.umask(0)
    try:
        result = run("import glassnet as gn; print(gn.use_cache())", tmp_path)
    finally:
        os.umask(old)
    cache = Path(result.stdout.strip())
    assert cache.parent == tmp_path / "cache" / "glassnet"
    for folder in (cache, cache.parent):
        assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.name != "posix", reason="only POSIX has these permissions")
def test_a_folder_that_others_may_write_to_is_not_used(tmp_path):
    (tmp_path / "glassnet").mkdir(mode=0o700)
    (tmp_path / "glassnet").chmod(0o777)
    with pytest.warns(DataWarning, match="others may write"):
        assert _cache.use_cache(tmp_path / "glassnet") is None
    (tmp_path / "file").write_text("")
    with pytest.warns(DataWarning, match="not kept"):
        assert _cache.use_cache(tmp_path / "file") is None


def test_off_and_jaxs_own_variable_turn_the_cache_off(tmp_path, monkeypatch):
    for name, value in (("GLASSNET_CACHE", "off"), ("JAX_COMPILATION_CACHE_DIR", str(tmp_path))):
        monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
        monkeypatch.setenv(name, value)
        assert _cache.use_cache() is None
        monkeypatch.delenv(name)
    assert not list(tmp_path.iterdir())


def test_the_oldest_programs_are_removed_when_the_cache_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr(_cache, "MAX_BYTES", 1000)
    for age in range(12):
        path = tmp_path / f"{age}-cache"
        path.write_bytes(b"x" * 100)
        os.utime(path, (1e9 - age, 1e9 - age))
    _cache._prune(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {f"{age}-cache" for age in range(5)}


def test_the_cache_folder_follows_the_conventions_of_the_system(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache() == tmp_path
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the convention says to ignore it
    assert user_cache() == Path.home() / ".cache"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert user_cache() == Path.home() / "Library" / "Caches"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert user_cache() == tmp_path / "local"


def test_the_command_works_without_a_home(tmp_path):
    code = "import sys; sys.argv = ['glassnet', 'train', 'sample:iris', '--epochs', '2']\n"
    code += "from glassnet.cli import main; main()"
    result = run(code, tmp_path, XDG_CACHE_HOME="/proc/nowhere")
    assert result.returncode == 0 and "Traceback" not in result.stderr


def test_garbage_collection_resumes_after_imports():
    assert gc.isenabled()
    with collection_paused():
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.disable()
    try:
        with collection_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


# --- the limit on kept programs -------------------------------------------------------------------


def maps() -> int:
    """Return the number of memory maps of this process; Linux allows 65 530."""
    return Path("/proc/self/maps").read_text("utf-8").count("\n")


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="only Linux lists memory maps")
def test_compiled_programs_are_dropped_when_there_are_many(monkeypatch):
    monkeypatch.setattr(_compile, "_limited", [])
    monkeypatch.setattr(_compile, "MAX_PROGRAMS", 5)
    cube = _compile.limit_programs(jax.jit(lambda x: (x**3).sum()))
    counts, map_counts = [], []
    for n in range(1, 41):
        assert cube(np.ones(n, np.float32)) == n
        counts.append(_compile.program_count())
        map_counts.append(maps())
    assert counts == [1, 2, 3, 4, 5] * 8
    # both counts follow a drop; measured: 4 more maps, or 109 if no program is dropped
    assert map_counts[35] < map_counts[5] + 60


def test_programs_of_training_and_prediction_are_dropped_too(monkeypatch):
    monkeypatch.setattr(_compile, "MAX_PROGRAMS", 10**6)
    net = gn.Network([gn.Dense(3), gn.Dense(1)])
    X = np.zeros((17, 2), np.float32)
    before = _compile.program_count()
    run = gn.train(net, X, X[:, 0], epochs=1)
    trained = _compile.program_count()
    bits = run.model.outputs(X).tobytes()
    assert before < trained < _compile.program_count()
    monkeypatch.setattr(_compile, "MAX_PROGRAMS", 1)
    assert run.model.outputs(X).tobytes() == bits  # compiled again
    assert _compile.program_count() == 1
