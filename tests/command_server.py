"""A process that has the heavy libraries loaded and forks one child for each command line: `python command_server.py`.

A fresh interpreter takes ten seconds to import torch; a fork takes none and is a process of its own all the same, with
its own exit code, standard streams, working folder and signals. Reads one JSON line per command, `{"argv": [...],
"cwd": FOLDER, "env": {...}, "out": FILE, "err": FILE}`; answers with two lines, `{"pid": N}` at once and `{"code": N}`
when the child has ended (negative: killed by that signal).
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any


def command(asked: dict[str, Any]) -> None:
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(asked[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(asked["cwd"])
    os.environ.update(asked["env"])
    sys.argv = ["tunesmith", *asked["argv"]]
    from tunesmith.app.cli import main

    main()


def child(asked: dict[str, Any]) -> None:
    code: Any = 0
    try:
        command(asked)
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 99  # no way for the command line to end
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(code or 0))


def serve() -> None:
    import peft  # noqa: F401
    import torch
    import transformers  # noqa: F401

    import tunesmith.app.cli
    import tunesmith.project.run  # noqa: F401
    from tunesmith.project.trunk import TRUNK

    torch.set_num_threads(1)
    for stage in TRUNK:
        _ = stage.module
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            child(json.loads(line))
        print(json.dumps({"pid": pid}), flush=True)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    serve()
