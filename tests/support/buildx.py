"""Stands in for buildx, which the ground's engines lack: builds one platform, by the engine's own builder.

Run as `python -m tests.support.buildx DOCKER ARGUMENTS...`. What is built and pushed is real; all else goes to docker.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path


def main(docker: str, arguments: list[str]) -> int:
    """Do as told; the exit status."""
    if arguments[:2] != ["buildx", "build"]:
        os.execv(docker, ["docker", *arguments])
    parser = argparse.ArgumentParser()
    for flag in ("platform", "provenance", "sbom", "output", "metadata-file"):
        parser.add_argument(f"--{flag}", required=True)
    told, rest = parser.parse_known_args(arguments[2:])
    assert (told.platform, told.provenance, told.sbom) == ("linux/amd64,linux/arm64", "mode=max", "true")
    output = dict(pair.split("=", 1) for pair in told.output.split(","))
    assert (output["push"], output["push-by-digest"], output["type"]) == ("true", "true", "image")
    tag = f"{output['name']}:built"
    subprocess.run([docker, "build", "--quiet", "--tag", tag, *rest], check=True)
    pushed = subprocess.run([docker, "push", tag], check=True, capture_output=True, text=True).stdout
    subprocess.run([docker, "image", "rm", tag], check=True, stdout=subprocess.DEVNULL)
    digest = pushed.split("digest: ")[1].split()[0]
    Path(told.metadata_file).write_text(json.dumps({"containerimage.digest": digest}), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
