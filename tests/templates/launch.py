"""Starts templates one after the other as Dataflow's launcher does: run by the image's Python, not by pytest."""

import json
import runpy
import sys

from apache_beam.internal.gcp import auth

# No account exists here, and looking for one takes 20 seconds.
auth._Credentials._credentials_init = True

if __name__ == "__main__":
    codes = {}
    for job, (path, *arguments) in json.load(sys.stdin).items():
        sys.argv = [path, *arguments]
        try:
            runpy.run_path(path, run_name="__main__")
        except SystemExit as end:
            codes[job] = end.code
    print(json.dumps(codes))
