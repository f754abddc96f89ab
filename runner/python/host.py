"""Entry point of the process that hosts one Python module.

    python3 -I -S host.py FD KIND ENTRY [ARG...]

FD is the descriptor of the channel to the runner, KIND is `main` or `maintenance`, ENTRY the absolute path of the
module's index.py or maintenance.py. A script is compiled anew at each start, so this one only finds the SDK beside
itself and hands over; what it hands over to can be compiled ahead of time (see README.md).
"""

import sys

if __name__ == "__main__":  # a multiprocessing child imports this file under another name and must not host again
    sys.dont_write_bytecode = True
    sys.path.insert(0, __file__.rpartition("/")[0] or ".")
    from updates import _host

    _host.run(sys.argv[1:])
