"""A process without a network: `python offline.py commands FOLDER`; or `audit`, `native`, to be caught."""

from __future__ import annotations

import ctypes
import platform
import socket
import struct
import sys
import urllib.request
from pathlib import Path

NUMBER = {
    "x86_64": (41, 0xC000003E),
    "aarch64": (198, 0xC00000B7),
}  # of socket(), and the kernel's own name
NETWORKS = (socket.AF_INET, socket.AF_INET6)


def watched(event: str, arguments: tuple[object, ...]) -> None:
    """End the process at what Python itself would send, fetch or look up."""
    if event.startswith(("socket.connect", "socket.get", "socket.send", "socket.bind", "urllib")):
        print("reached for the network:", event, arguments, file=sys.stderr, flush=True)
        sys.exit(f"{event} {arguments}")


def sealed() -> bool:
    """Have the kernel kill this process at its first internet socket, native code's too; say if it will."""
    if sys.platform != "linux" or platform.machine() not in NUMBER:
        return False
    number, machine = NUMBER[platform.machine()]
    load, equal, end, kill, allow = 0x20, 0x15, 0x06, 0x80000000, 0x7FFF0000
    program = [  # a little machine with one number: load a word of the call, compare, jump ahead, end
        (load, 0, 0, 4),  # which kind of machine
        (equal, 0, 5, machine),
        (load, 0, 0, 0),  # which call
        (equal, 0, 3, number),
        (load, 0, 0, 16),  # its first argument
        (equal, 2, 0, NETWORKS[0]),
        (equal, 1, 0, NETWORKS[1]),
        (end, 0, 0, allow),
        (end, 0, 0, kill),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    filters = ctypes.create_string_buffer(struct.pack("HP", len(program), ctypes.addressof(code)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    no_new_privileges, seccomp, filtering = 38, 22, 2
    return bool(
        prctl(no_new_privileges, 1, 0, 0, 0) == 0
        and prctl(seccomp, filtering, ctypes.c_void_p(ctypes.addressof(filters)), 0, 0) == 0
    )


def commands(folder: Path) -> None:
    """Train, report, predict and look at the model, as a person would."""
    from typer.testing import CliRunner

    from glassnet.cli import app

    data, model = folder / "table.csv", folder / "model.glassnet"
    rows = [f"{i % 7},{'ab'[i % 2]},{i % 5}.5,{'yn'[i % 3 == 0]}" for i in range(60)]
    data.write_text("\n".join(["n,letter,x,answer", *rows]))
    few = ["--hidden", "4", "--epochs", "2", "--members", "1"]
    for words in (
        ["train", data, "--target", "answer", "--out", model, "--report", folder / "r.html", *few],
        ["predict", model, data, "--out", folder / "predictions.csv"],
        ["evaluate", model, data],
        ["inspect", model],
    ):
        result = CliRunner().invoke(app, list(map(str, words)))
        assert result.exit_code == 0, (words, result.output, result.exception)
    assert (folder / "r.html").stat().st_size > 10_000


if __name__ == "__main__":
    sys.addaudithook(watched)
    print("sealed" if sealed() else "not sealed", flush=True)
    if sys.argv[1] == "commands":
        commands(Path(sys.argv[2]))
    if sys.argv[1] == "audit":
        urllib.request.urlopen("http://localhost:9/")
    if sys.argv[1] == "native":
        ctypes.CDLL(None).socket(int(socket.AF_INET), int(socket.SOCK_STREAM), 0)
    print("done", flush=True)
