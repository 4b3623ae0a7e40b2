"""Set the project up: python3 scripts/setup.py (Windows: py scripts/setup.py). Needs the standard library only.

This file is written so that any Python can read it and say which one is needed; the work is in installation.py.
"""

import sys

OLDEST = (3, 11)


def main():
    if sys.version_info < OLDEST:
        oldest, this = (".".join(map(str, version)) for version in (OLDEST, sys.version_info[:2]))
        sys.stderr.write("Quantum Trader needs Python " + oldest + " or newer and this is " + this)
        sys.stderr.write("; install one and name it, for example: make run PYTHON=python3.12\n")
        return 1
    import installation

    return installation.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
